"""A spec from which parts that are not understood are taken, with what was taken and where it stood."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from trilithon.resources.flaw import NOTHING, WHOLE, Flaw
from trilithon.resources.wording import Finding

UNKNOWN_FIELD = "UnknownField"

_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_FIELD = re.compile(r"spec\.([^.\[]+)")


class Cut:
    """By itself it takes whole fields of the spec, but for those without which the spec says nothing.

    Paths are those of the spec as it is now; flaws have them as written, since entries that are taken move others.
    """

    needed: tuple[str, ...] = ()
    # Lists of which an entry must be left.
    needs_entry: tuple[str, ...] = ()

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value
        self.flaws: list[Flaw] = []
        self._removed: set[str] = set()
        self._told: set[tuple[str, str]] = set()
        self._dropping: dict[str, set[int]] = {}
        # By list, the index that each entry had as written.
        self._places: dict[str, list[int]] = {}

    @property
    def is_whole(self) -> bool:
        """Whether the whole is lost."""
        return any(flaw.part == WHOLE for flaw in self.flaws)

    def is_news(self, finding: Finding) -> bool:
        """Whether a finding was not told, and does not follow from what was taken."""
        path = self.as_written(finding.path)
        return (path, finding.message) not in self._told and not any(is_within(path, each) for each in self._removed)

    def take(self, finding: Finding, *, is_shape: bool) -> None:
        """Take out the smallest part that a finding is in, and keep the flaw."""
        path = self.as_written(finding.path)
        self._told.add((path, finding.message))
        is_unknown = finding.code == UNKNOWN_FIELD
        message = "this version of Trilithon does not know the field" if is_unknown else finding.message
        part = self.taken(finding, is_shape=is_shape)
        self.flaws.append(Flaw(part, path, message, "" if is_unknown else finding.hint))

    def taken(self, finding: Finding, *, is_shape: bool) -> str:
        """Take the part out and name it. An unknown field is out of the spec already."""
        if finding.code == UNKNOWN_FIELD:
            return NOTHING
        found = _FIELD.match(finding.path)
        if found is None or found[1] in self.needed:
            return WHOLE
        self.remove(found[0])
        return found[0]

    def settle(self) -> None:
        """Take out entries of lists, which had to wait until every finding was seen: it moves others."""
        for at, dropped in self._dropping.items():
            entries = self.find(at)
            if not isinstance(entries, list):
                continue
            places = self._places.setdefault(at, list(range(len(entries))))
            for index in sorted(dropped, reverse=True):
                del entries[index], places[index]
        self._dropping.clear()
        for at in self.needs_entry:
            if at in self._places and not self.find(at):
                self.flaws = [replace(each, part=WHOLE) if is_within(each.path, at) else each for each in self.flaws]

    def remains(self) -> Struct | None:
        """What is left of a spec that cannot be used."""
        return None

    def find(self, path: str) -> Any:
        """The value at a path; None where there is none."""
        value: Any = self.value
        for name, index in _STEP.findall(path.removeprefix(WHOLE)):
            if name:
                value = value.get(name) if isinstance(value, dict) else None
            else:
                value = value[int(index)] if isinstance(value, list) and int(index) < len(value) else None
        return value

    def remove(self, path: str) -> None:
        """Take a field out."""
        parent, _, name = path.rpartition(".")
        holder = self.find(parent)
        if isinstance(holder, dict):
            holder.pop(name, None)
        self._removed.add(self.as_written(path))

    def replace(self, path: str, value: Any) -> None:
        """Put something in the place of an entry of a list."""
        parent, _, index = path.removesuffix("]").rpartition("[")
        self.find(parent)[int(index)] = value
        self._removed.add(self.as_written(path))

    def drop(self, at: str, index: int) -> None:
        """Take an entry out of a list, as soon as all is settled."""
        self._dropping.setdefault(at, set()).add(index)
        self._removed.add(self.as_written(f"{at}[{index}]"))

    def as_written(self, path: str) -> str:
        """A path with the indices that entries had as written."""
        for at, places in self._places.items():
            if path.startswith(f"{at}["):
                index, _, rest = path[len(at) + 1 :].partition("]")
                return f"{at}[{places[int(index)]}]{rest}"
        return path


def is_within(path: str, part: str) -> bool:
    """Whether a path is that of a part, or inside it."""
    return path.startswith(part) and path[len(part) : len(part) + 1] in ("", ".", "[")
