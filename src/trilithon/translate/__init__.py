"""Resources to model, one concept per file, pure."""
