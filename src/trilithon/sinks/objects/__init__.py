"""Objects of an API server: statuses, what runs a Gateway, finalizers and Events, each written as seldom as can be."""
