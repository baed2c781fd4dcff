"""Tests of the whole program with a real Envoy."""
