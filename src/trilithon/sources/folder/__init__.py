"""A folder of files as a source: scanned, watched, and read one document at a time."""
