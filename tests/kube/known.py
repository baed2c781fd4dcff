"""What a client that follows a watch's events knows, and that the events keep the watch's promises."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from trilithon.kube.events import (
    Degraded,
    Delete,
    Event,
    Found,
    Gone,
    Missing,
    Restored,
    Rewound,
    Synced,
    Undecodable,
    Upsert,
)


def widget(written: msgspec.Raw) -> dict[str, Any]:
    """A decoder that refuses widgets whose spec says so."""
    found: dict[str, Any] = msgspec.json.decode(written)
    if found["spec"].get("broken"):
        raise msgspec.ValidationError("Expected `int`, got `str` - at `$.spec.size`")
    return found


class Known:
    """Follows events."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.log: list[str] = []
        self.syncs = 0
        # Objects of which nothing was said since history went back.
        self.doubtful: set[str] = set()
        self.trouble: Degraded | Missing | Gone | None = None
        self._swept = False
        # Objects of which an earlier version was told than before.
        self._went_back: set[str] = set()

    def names_and_versions(self) -> dict[str, str]:
        """What is known, as the model says it."""
        return {name: each["metadata"]["resourceVersion"] for name, each in self.objects.items()}

    def _came(self, name: str, metadata: dict[str, Any]) -> None:
        known = self.objects[name]["metadata"] if name in self.objects else metadata
        is_older = int(metadata["resourceVersion"]) < int(known["resourceVersion"])
        if is_older and known["uid"] == metadata["uid"] and name not in self.doubtful:
            self._went_back.add(name)
        self.doubtful.discard(name)

    def hear(self, events: Iterable[Event[dict[str, Any]]]) -> None:
        """Events, in their order."""
        for event in events:
            self.heard(event)

    def heard(self, event: Event[dict[str, Any]]) -> None:
        """One event."""
        match event:
            case Upsert(name, value):
                assert name.name in self.doubtful or self.objects.get(name.name) != value, "only differences are told"
                self._came(name.name, value["metadata"])
                self.objects[name.name] = value
                self.log.append(f"+{name.name}")
            case Delete(name, is_swept):
                del self.objects[name.name]
                self.doubtful.discard(name.name)
                self.log.append(f"{'~' if is_swept else '-'}{name.name}")
                self._swept |= is_swept
            case Undecodable(unreadable, _):
                self.log.append(f"?{unreadable.name if unreadable is not None else ''}")
            case Synced():
                assert not self.doubtful, "what was in doubt is told, or gone"
                assert not self._went_back, "what goes back was said to do so"
                self.syncs += 1
                self._swept = False
                self.log.append("synced")
            case Rewound():
                self.doubtful, self._went_back = set(self.objects), set()
                self.log.append("rewound")
            case Restored():
                assert self.trouble is not None, "what was never bad is not restored"
                self.trouble = None
                self.log.append("restored")
            case Found(kind):
                self.log.append(f"found {kind.version}")
            case Degraded() | Missing() | Gone():
                self.trouble = event
                self.log.append(type(event).__name__.lower())
        if not isinstance(event, Delete):
            assert not self._swept, "what a list sweeps comes just before Synced"
