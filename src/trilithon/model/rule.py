"""A route's rules, resolved: what is matched, what is changed, what happens at the end."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from trilithon.model.backend import Backend
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem


class PathMatch(Struct, frozen=True, gc=False):
    """A path condition. A prefix has no trailing slash, except "/" itself, which matches every path."""

    kind: Literal["exact", "prefix", "regex"]
    value: str


class ValueMatch(Struct, frozen=True, gc=False):
    """A condition on a header (name in lower case) or a query parameter (name as written)."""

    name: str
    kind: Literal["exact", "regex"]
    value: str


class Match(Struct, frozen=True, gc=False):
    """All conditions must hold. ``index`` is its place in the rule as written.

    ``is_cut`` says that not all conditions are understood, so that it takes more requests than were meant.
    """

    index: int
    path: PathMatch
    method: str | None = None
    headers: tuple[ValueMatch, ...] = ()
    query: tuple[ValueMatch, ...] = ()
    is_cut: bool = False


class HeaderEdit(Struct, frozen=True, gc=False):
    """Changes to headers; a name appears once."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


class PathEdit(Struct, frozen=True, gc=False):
    """Replace the full path, or the prefix that matched."""

    kind: Literal["full", "prefix"]
    value: str


class Rewrite(Struct, frozen=True, gc=False):
    """Change host or path before forwarding."""

    hostname: str | None = None
    path: PathEdit | None = None


class Mirror(Struct, frozen=True, gc=False):
    """Send a copy of a share of the requests elsewhere."""

    backend: Backend
    numerator: int = 100
    denominator: int = 100


class Cors(Struct, frozen=True, gc=False):
    """CORS settings; ``max_age`` in seconds."""

    allow_origins: tuple[str, ...]
    allow_methods: tuple[str, ...]
    allow_headers: tuple[str, ...]
    expose_headers: tuple[str, ...]
    allow_credentials: bool
    max_age: int


class Filters(Struct, frozen=True, gc=False):
    """What is changed on the way; empty by default."""

    request_headers: HeaderEdit | None = None
    response_headers: HeaderEdit | None = None
    rewrite: Rewrite | None = None
    mirrors: tuple[Mirror, ...] = ()
    cors: Cors | None = None


class Share(Struct, frozen=True, gc=False):
    """One backend ref: its weight and what it resolved to, or why its share of requests is answered 500.

    ``index`` is its place in the rule as written; ``ref`` is the reference in words, "Service shop/cart:80".
    """

    index: int
    weight: int
    backend: Backend | None
    problem: Problem | None = None
    filters: Filters = Filters()
    ref: str = ""


class Forward(Struct, frozen=True, gc=False, tag=True):
    """Send to backends by weight; at least one share has a weight above 0."""

    shares: tuple[Share, ...]


class Redirect(Struct, frozen=True, gc=False, tag=True):
    """Answer with a redirect; None keeps the request's part. An unset port follows the spec's inference."""

    status: int
    scheme: str | None = None
    hostname: str | None = None
    port: int | None = None
    path: PathEdit | None = None


class Refuse(Struct, frozen=True, gc=False, tag=True):
    """Answer directly: the rule has no backend (``problem`` None) or cannot be honoured."""

    status: int
    problem: Problem | None


Action = Forward | Redirect | Refuse


class Retry(Struct, frozen=True, gc=False):
    """Try again, at most ``attempts`` times, on these statuses and where no backend could be reached at all.

    ``attempts`` fits 32 bits. ``backoff`` is the least time between attempts, in milliseconds.
    """

    codes: tuple[int, ...]
    attempts: int
    backoff: int | None = None


class Rule(Struct, frozen=True, gc=False):
    """One rule. Timeouts are in milliseconds: None is the default, 0 is no limit.

    ``problems`` holds everything wrong with the rule; the action says what requests get.
    """

    index: int
    name: str
    matches: tuple[Match, ...]
    filters: Filters
    action: Action
    request_timeout: int | None = None
    attempt_timeout: int | None = None
    retry: Retry | None = None
    problems: tuple[Problem, ...] = ()


class Rules(Struct, frozen=True, gc=False):
    """All rules of one route. ``created`` is for ties ("" where unknown).

    ``problems`` are those of the route outside its rules (fields that are not supported).
    """

    route: Key
    created: str
    items: tuple[Rule, ...]
    problems: tuple[Problem, ...] = ()
