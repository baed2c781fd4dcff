"""Why a container cannot run yet, in the words of a container's status."""

from __future__ import annotations


class CannotRun(Exception):
    """What must change before a container can run: ``reason`` for programs, the text for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
