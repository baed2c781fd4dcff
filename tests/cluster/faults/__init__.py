"""Faults of a cluster, and what those who are served notice of them."""
