"""What happens to a request, and why nothing else did: the answer that ``explain`` prints."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem

Outcome = Literal["forward", "redirect", "direct", "no-route", "no-listener"]


class Forwarded(Struct, frozen=True):
    """The request as the backend gets it; headers are removed, then set, then added, and the response's likewise."""

    method: str
    target: str
    host: str
    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()
    response_set: tuple[tuple[str, str], ...] = ()
    response_add: tuple[tuple[str, str], ...] = ()
    response_remove: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()


class Terms(Struct, frozen=True):
    """How a request is forwarded, in words: limits of time, attempts, and what the Origin header brings about.

    Empty where nothing is limited, nothing is tried again, or no Origin was sent.
    """

    timeout: str = ""
    retry: str = ""
    cors: str = ""


class BackendShare(Struct, frozen=True):
    """One backend of the winning rule. ``status`` is what its share of requests gets without reaching an endpoint.

    ``path`` is the field that names it; ``percent`` is its share. ``request`` is the request as it gets it, where it is
    one of several backends.
    """

    ref: str
    weight: int
    percent: float
    path: str
    status: int | None = None
    problem: Problem | None = None
    endpoints: tuple[str, ...] = ()
    request: Forwarded | None = None


class Lost(Struct, frozen=True):
    """A candidate that did not get the request, with the first reason why. ``rule`` is None for a whole route."""

    route: Key
    rule: int | None
    match: int | None
    reason: str
    what: str
    path: str


class Decision(Struct, frozen=True):
    """The whole answer. ``reason`` says in a sentence why a status is answered directly.

    ``virtual_host`` is the hostname pattern that took the request, with the attached route's in ``route``.
    """

    outcome: Outcome
    status: int | None
    reason: str = ""
    gateway: Key | None = None
    listener: str | None = None
    listener_text: str = ""
    virtual_host: str | None = None
    route: Key | None = None
    rule: int | None = None
    rule_name: str = ""
    match: int | None = None
    match_text: str = ""
    backends: tuple[BackendShare, ...] = ()
    location: str | None = None
    request: Forwarded | None = None
    problem: Problem | None = None
    terms: Terms = Terms()
    lost: tuple[Lost, ...] = ()
