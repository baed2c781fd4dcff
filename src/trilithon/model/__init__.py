"""What the resources mean: the shared vocabulary, no logic, no Envoy."""
