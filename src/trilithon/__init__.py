"""Trilithon: the Kubernetes Gateway API, translated in Python and served by Envoy."""

__version__ = "0.1.0"
