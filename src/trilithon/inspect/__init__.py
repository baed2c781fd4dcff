"""Questions to a settled engine: what is wrong, what happens to a request, why."""
