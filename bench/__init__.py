"""Measure Trilithon side by side with Traefik, on one machine and in one run."""
