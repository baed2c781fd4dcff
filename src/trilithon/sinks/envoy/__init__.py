"""Envoy as a process: finding it, becoming it, running it as a child, and asking it."""
