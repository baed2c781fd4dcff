"""Where resources come from: the only place that reads them in."""
