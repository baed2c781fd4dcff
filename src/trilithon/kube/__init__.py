"""A thin Kubernetes client: reach an API server, read and write objects as bytes, watch kinds, hold a lease."""
