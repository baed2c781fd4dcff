"""The oracle: random routes and random requests, where ``explain`` and the real Envoy must agree."""
