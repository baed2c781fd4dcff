"""What the system lets this process and its children use."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from pathlib import Path

# Of the control group that a container sees as its own: version 2, then version 1.
MEMORY_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
# What version 1 says when there is no limit: the largest number of pages.
_NO_LIMIT = 1 << 62


def memory_limit(files: Sequence[Path] = MEMORY_FILES) -> int | None:
    """Bytes of memory that this container may use; None for no limit."""
    for file in files:
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.isdecimal() and int(text) < _NO_LIMIT:
            return int(text)
    return None


def open_files_limit() -> int:
    """Files that a process may have open, once it has asked for as many as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard
