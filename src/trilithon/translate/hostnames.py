"""Compare hostnames and wildcard patterns: which covers which, where two meet, which is more specific.

A pattern is a hostname, ``*.suffix`` (any number of labels, at least one, before the suffix; never the bare suffix) or
``*`` (any hostname). Everything here is lower case, as the API demands of hostnames. Two patterns either are disjoint
or one covers the other, which is what makes all of this simple.
"""

from __future__ import annotations

from collections.abc import Iterable

ANY = "*"


def covers(pattern: str, other: str) -> bool:
    """Whether every hostname that ``other`` (a hostname or a pattern) stands for also matches ``pattern``."""
    if pattern in (ANY, other):
        return True
    # "*.example.com" matches "test.example.com" and "foo.test.example.com", but not "example.com" (Listener.hostname).
    return pattern.startswith("*.") and len(other) > len(pattern) - 1 and other.endswith(pattern[1:])


def intersection(listener: str, route: str) -> str | None:
    """The pattern of the hostnames that match both, or None."""
    if covers(listener, route):
        return route
    if covers(route, listener):
        return listener
    return None


def intersections(listener: str, route: Iterable[str]) -> dict[str, str]:
    """The hostnames a route serves on a listener, each with the hostname of the route it comes from.

    A route without hostnames takes the listener's, and claims none itself (``*``). Hostnames of the route that do not
    meet the listener's are ignored (HTTPRouteSpec.hostnames). Where several hostnames of the route narrow to one, the
    most specific claims it.
    """
    claims: dict[str, str] = {}
    for claim in tuple(route) or (ANY,):
        common = intersection(listener, claim)
        if common is not None and (common not in claims or specificity(claim) < specificity(claims[common])):
            claims[common] = claim
    return claims


def specificity(pattern: str) -> tuple[int, int]:
    """Sort key: the most specific first.

    "Characters in a matching non-wildcard hostname", then "in a matching hostname" (HTTPRouteSpec.hostnames).
    """
    if pattern == ANY:
        return (2, 0)
    return (1 if pattern.startswith("*.") else 0, -len(pattern))


def wider(hostname: str) -> tuple[str, ...]:
    """The patterns that cover a hostname or pattern, itself left out, the most specific first."""
    if hostname == ANY:
        return ()
    labels = hostname.removeprefix("*.").split(".")
    # "*.b.c" is itself the pattern of the suffix "b.c", so its next wider one starts a label later, as for a hostname.
    return (*(f"*.{'.'.join(labels[start:])}" for start in range(1, len(labels))), ANY)
