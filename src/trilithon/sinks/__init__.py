"""Where results go: to Envoys, to their processes, and to the objects of an API server."""
