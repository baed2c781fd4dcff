"""Where results go: Envoys, their processes, and later the cluster."""
