"""What a client that follows a watch's events knows, and that the events keep the watch's promises."""

from __future__ import annotations

from typing import Any

import msgspec

from trilithon.kube.events import Degraded, Delete, Event, Found, Gone, Missing, Restored, Synced, Undecodable, Upsert


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
        self.trouble: Degraded | Missing | Gone | None = None
        self._swept = False

    def names_and_versions(self) -> dict[str, str]:
        """What is known, as the model says it."""
        return {name: each["metadata"]["resourceVersion"] for name, each in self.objects.items()}

    def heard(self, event: Event[dict[str, Any]]) -> None:
        """One event."""
        match event:
            case Upsert(name, value):
                assert self.objects.get(name.name) != value, "only differences are told"
                self.objects[name.name] = value
                self.log.append(f"+{name.name}")
            case Delete(name, is_swept):
                del self.objects[name.name]
                self.log.append(f"{'~' if is_swept else '-'}{name.name}")
                self._swept |= is_swept
            case Undecodable(unreadable, _):
                self.log.append(f"?{unreadable.name if unreadable is not None else ''}")
            case Synced():
                self.syncs += 1
                self._swept = False
                self.log.append("synced")
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
