"""Put the matches of all routes in the spec's order: the earliest that matches a request gets it.

HTTPRouteRule.matches: an exact path, then the longest prefix, then a method, the most headers, the most query
parameters; then the oldest route, the first by "namespace/name", the first in the route. The spec leaves the place of
regular expressions open. Here they come between exact paths and prefixes, the longer pattern first: behind the prefixes
a rule for "/", which nearly every hostname has, would hide them all.

Which hostname of the route matched comes before all of this: see ``hostnames.specificity`` and ``Attachment.claim``.
"""

from __future__ import annotations

from typing import NamedTuple

from trilithon.model.rule import Match
from trilithon.resources.meta import Key

_PATH_KINDS = {"exact": 0, "regex": 1, "prefix": 2}


class Rank(NamedTuple):
    """A match's place: the smaller comes first. No two matches have the same."""

    path_kind: int
    path_length: int
    method: int
    headers: int
    query: int
    undated: bool
    created: str
    path_name: str
    kind: str
    rule: int
    match: int


def rank(match: Match, created: str, route: Key, rule_index: int) -> Rank:
    """The place of a match of a route that was created at an RFC 3339 time, "" where unknown.

    An object without a time, from a file, counts as the newest: in a cluster it would be created now.
    """
    return Rank(
        path_kind=_PATH_KINDS[match.path.kind],
        path_length=-len(match.path.value),
        # Nobody knows how many conditions it has: its rule refuses, so that none of one path may come before it.
        method=-1 if match.is_cut else 0 if match.method else 1,
        headers=-len(match.headers),
        query=-len(match.query),
        undated=not created,
        created=created,
        # "alphabetical order by {namespace}/{name}": of the text, where "a-b/x" comes before "a/x".
        path_name=f"{route.namespace}/{route.name}",
        kind=route.kind,
        rule=rule_index,
        match=match.index,
    )


# Why the later of two matches is later, by the first field that differs.
_LATER = {
    "method": "no condition on the method",
    "headers": "fewer header conditions",
    "query": "fewer query parameter conditions",
    "undated": "newer route",
    "created": "newer route",
    "path_name": "the route's name is later in the alphabet",
    "kind": "the route's kind is later in the alphabet",
    "rule": "later rule of the same route",
    "match": "later match of the same rule",
}
_PATH_WORDS = ("exact path", "regular expression", "prefix")


def why_later(winner: Rank, loser: Rank) -> str:
    """In a few words, why one match comes behind another."""
    if winner.path_kind != loser.path_kind:
        return f"{_PATH_WORDS[loser.path_kind]} behind {_PATH_WORDS[winner.path_kind]}"
    if winner.path_length != loser.path_length:
        return f"shorter {_PATH_WORDS[loser.path_kind]}"
    if winner.method < min(loser.method, 0):
        return "behind a match with conditions that are not understood"
    fields = zip(Rank._fields, winner, loser, strict=True)
    return next((_LATER[name] for name, first, second in fields if first != second), "the same match")
