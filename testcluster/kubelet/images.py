"""Which local command an image stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

_TAG = re.compile(r"(@sha256:.*|:[^:/]*)$")
_REGISTRY = re.compile(r"^(localhost|[^/]*[.:][^/]*)/")


class Image(Struct, frozen=True):
    """A command, and the user it runs as unless the pod names one."""

    command: tuple[str, ...]
    user: int = 0


class Images:
    """The table of images, read again when its file changes.

    It maps names without registry and tag to a command, or to a table with ``command`` and ``user``; ``{name}`` in a
    command stands for the variable of that name.
    """

    def __init__(self, path: Path, variables: Mapping[str, str]) -> None:
        self._path = path
        self._variables = variables
        self._read_at = -1
        self._images: dict[str, Image] = {}

    def find(self, image: str) -> Image | None:
        """What an image stands for, or None. Raises OSError or msgspec.MsgspecError if the table cannot be read."""
        changed = self._path.stat().st_mtime_ns
        if changed != self._read_at:
            read = msgspec.toml.decode(self._path.read_bytes(), type=dict[str, tuple[str, ...] | Image])
            self._images = {name: _image(said) for name, said in read.items()}
            self._read_at = changed
        found = self._images.get(image_name(image))
        if found is None:
            return None
        return Image(tuple(self._filled_in(word) for word in found.command), found.user)

    def _filled_in(self, word: str) -> str:
        for name, value in self._variables.items():
            word = word.replace(f"{{{name}}}", value)
        return word


def image_name(image: str) -> str:
    """An image's name without its registry, tag and digest."""
    return _REGISTRY.sub("", _TAG.sub("", image))


def _image(said: tuple[str, ...] | Image) -> Image:
    return said if isinstance(said, Image) else Image(said)
