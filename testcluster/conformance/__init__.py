"""The official Gateway API conformance suite, run in the test cluster against Trilithon or another implementation."""
