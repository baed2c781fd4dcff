"""Measure Trilithon beside Traefik as controllers of a cluster: this repository's test cluster."""
