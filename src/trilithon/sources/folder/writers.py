"""Know which files are still being written, and for how long that is waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

# Enough for a script that writes a file piece by piece; a program that keeps a file open for ever is not waited for.
WRITING_SECONDS = 30.0


class Writers:
    """The files that were changed and not closed since, by real path, as far as the kernel tells.

    ``clock`` gives seconds that only grow. ``until`` may be asked from another thread.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: dict[Path, float] = {}

    def wrote(self, path: Path) -> None:
        """Somebody has changed the file and may go on."""
        self._since.setdefault(path, self._clock())

    def closed(self, path: Path) -> None:
        """Nobody writes the file any more, or it is gone."""
        self._since.pop(path, None)

    def keep(self, folders: Iterable[Path]) -> None:
        """Only what happens in these folders is heard of from now on."""
        known = set(folders)
        self._since = {path: since for path, since in self._since.items() if path.parent in known}

    def forget(self) -> None:
        """What happened was missed: nothing is known."""
        self._since = {}

    def until(self, path: Path, now: float) -> float | None:
        """By when the file is taken as it is; None where nobody is waited for."""
        since = self._since.get(path)
        return None if since is None or now - since >= WRITING_SECONDS else since + WRITING_SECONDS
