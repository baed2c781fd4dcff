"""The model as Envoy's own bytes: one Envoy type per file, pure."""
