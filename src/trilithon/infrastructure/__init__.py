"""What runs a Gateway, as data: the objects that are generated for it."""
