"""A cluster as a source: every kind is watched, and what is named is read."""
