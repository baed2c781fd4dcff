"""What is taken out of a Gateway or GatewayClass that is not wholly understood.

A listener stays, with its flaw, as long as its name, port and protocol are understood.
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from trilithon.resources.cut import UNKNOWN_FIELD, Cut, is_within
from trilithon.resources.flaw import (
    FRONTEND,
    LISTENERS,
    NOTHING,
    TLS,
    frontend_part,
    listener_part,
    unknown_hostname,
)
from trilithon.resources.gateways import MOST_LISTENERS, GatewaySpec
from trilithon.resources.meta import HIGHEST_PORT
from trilithon.resources.wording import Finding

_LISTENER = re.compile(r"spec\.listeners\[(\d+)\](?:\.([^.\[]+)(.*))?$")
_TLS = re.compile(r"spec\.tls(?:\.([^.\[]+)(.*))?$")
_PORT = re.compile(r"\.perPort\[(\d+)\]")
# Without these nobody can tell what a listener is.
_IDENTITY = ("name", "port", "protocol")


class GatewayCut(Cut):
    """Fields of listeners, of TLS and of the spec, and listeners of which nobody can tell what they are."""

    needed = ("gatewayClassName", "listeners")
    needs_entry = (LISTENERS,)

    def taken(self, finding: Finding, *, is_shape: bool) -> str:
        is_unknown = finding.code == UNKNOWN_FIELD
        if listener := _LISTENER.match(finding.path):
            place = int(listener[1])
            return self._of_listener(place, listener[2], listener[3] or "", is_unknown=is_unknown, is_shape=is_shape)
        if tls := _TLS.match(finding.path):
            return self._of_tls(tls[1], tls[2] or "", is_unknown=is_unknown)
        if (finding.path, finding.code) == (LISTENERS, "TooMany"):
            # A definition that allows more.
            del self.value["listeners"][MOST_LISTENERS:]
            return LISTENERS
        return super().taken(finding, is_shape=is_shape)

    def _of_listener(self, index: int, field: str | None, rest: str, *, is_unknown: bool, is_shape: bool) -> str:
        at = f"{LISTENERS}[{index}]"
        listener = self.find(at)
        if not isinstance(listener, dict) or field in _IDENTITY:
            self.drop(LISTENERS, index)
            return LISTENERS
        part = listener_part(str(listener.get("name")))
        if is_unknown or field is None:
            return part
        inner = re.match(r"\.(kinds|namespaces)\b", rest)
        if field == "hostname" and is_shape:
            written = self.as_written(at)
            listener["hostname"] = unknown_hostname(int(written.removesuffix("]").rpartition("[")[2]))
        elif field == "allowedRoutes" and inner is not None:
            self.remove(f"{at}.allowedRoutes.{inner[1]}")
        else:
            self.remove(f"{at}.{field}")
        return part

    def _of_tls(self, field: str | None, rest: str, *, is_unknown: bool) -> str:
        """Connections to backends are plain text yet, whatever is said of their TLS."""
        if field == "backend":
            if not is_unknown:
                self.remove("spec.tls.backend")
            return NOTHING
        if field == "frontend":
            found = _PORT.match(rest)
            entry = self.find(f"{FRONTEND}{found[0]}") if found else None
            port = entry.get("port") if isinstance(entry, dict) else None
            if found and type(port) is int and 0 < port <= HIGHEST_PORT:
                self.drop(f"{FRONTEND}.perPort", int(found[1]))
                return frontend_part(port)
            if not is_unknown:
                self.remove(FRONTEND)
            return FRONTEND
        if not is_unknown:
            self.remove(TLS)
        return TLS

    def settle(self) -> None:
        """Of a listener that is left out, nothing else is told as if it were there."""
        gone = [each for each in self._removed if re.fullmatch(r"spec\.listeners\[\d+\]", each)]
        self.flaws = [
            replace(flaw, part=LISTENERS) if any(is_within(flaw.path, each) for each in gone) else flaw
            for flaw in self.flaws
        ]
        super().settle()

    def remains(self) -> Struct | None:
        """Its class, which tells whose it is; it serves nothing."""
        name = self.value.get("gatewayClassName")
        return GatewaySpec(gateway_class_name=name, listeners=()) if isinstance(name, str) and name else None


class ClassCut(Cut):
    """The parameters; without its description a class is what it is."""

    needed = ("controllerName",)

    def taken(self, finding: Finding, *, is_shape: bool) -> str:
        part = super().taken(finding, is_shape=is_shape)
        return NOTHING if part == "spec.description" else part
