"""What a running process has to tell, as values: for the terminal, the log, and whoever watches."""

from __future__ import annotations

from msgspec import Struct

from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.sinks.envoy.processes import EnvoyEvent


class Change(Struct, frozen=True):
    """A change was taken in. ``served`` is the time from noticing it until every Envoy had acknowledged it.

    Times are in seconds; ``served`` is None when there was nothing for Envoy to learn, and when Gateways are named in
    ``waiting``: their Envoys take long to answer, and the change is told again when they have. ``is_refused`` says that
    an Envoy has acknowledged it and refuses some of what it is to serve.
    """

    upserted: tuple[Key, ...]
    removed: tuple[Key, ...]
    recomputed: int
    settled: float
    served: float | None
    waiting: tuple[str, ...] = ()
    is_refused: bool = False


class ProblemsChanged(Struct, frozen=True):
    """Problems that are new, and those that are gone; ``removed`` is how many objects went with the same change."""

    appeared: tuple[Problem, ...]
    healed: tuple[Problem, ...]
    removed: int = 0


class GatewayChanged(Struct, frozen=True):
    """A Gateway is programmed, or is not any longer: what its Programmed condition says, or that it is gone."""

    gateway: Key
    is_programmed: bool
    message: str
    is_gone: bool = False


class EnvoyChanged(Struct, frozen=True):
    """An Envoy started, ended or is about to be restarted."""

    gateway: Key
    event: EnvoyEvent


class EnvoySaid(Struct, frozen=True):
    """A line of an Envoy's log."""

    gateway: Key
    level: str
    text: str


class Failed(Struct, frozen=True):
    """A part of this process failed and goes on: what it did, the error, and where it came from."""

    what: str
    error: str
    where: str


Event = Change | ProblemsChanged | GatewayChanged | EnvoyChanged | EnvoySaid | Failed
