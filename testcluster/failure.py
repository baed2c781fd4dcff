"""What ends a command with a message instead of a traceback."""

from __future__ import annotations


class Failure(Exception):
    """Something outside of this program must change first; the text says what."""
