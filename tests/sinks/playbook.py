"""Play a conversation with a session that is written down as it goes over the wire.

One line is one event, and the lines with ``<<`` after it are all that the session answers to it:

    publish 1: CDS a=1  EDS a=1  -CDS b   the wanted resources changed: a at version 1; b no longer exists
    >> CDS                                a request without names: a wildcard subscription, the first time
    >> EDS +a -b                          subscribe to a, unsubscribe from b
    >> CDS have a=1                       the first request of a new stream, from an Envoy that has a already
    >> CDS ack                            the answer to the last response of this type
    >> CDS nack cannot parse              the same, refused
    << CDS a=1 -b                         the response: a at version 1; b is removed
    wait 30                               seconds pass
    at: applied 1                         what is known of this Envoy then; also: acked, rejected, counts

What was really said is written in the same form, so that a failure reads as the difference of two conversations.
"""

from __future__ import annotations

from difflib import ndiff

import pytest

from trilithon.sinks.delivery.feed import Request, Response
from trilithon.sinks.delivery.session import Published, Session, Tick
from trilithon.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SCOPED_ROUTE, SECRET, XdsResource

TYPES = {"CDS": CLUSTER, "EDS": ENDPOINT, "LDS": LISTENER, "RDS": ROUTE, "SDS": SECRET, "SRDS": SCOPED_ROUTE}
SHORT = {type_url: short for short, type_url in TYPES.items()}


def play(conversation: str) -> None:
    """Assert that the conversation goes as it is written."""
    written = [line.strip() for line in conversation.splitlines() if line.strip()]
    player = _Player()
    said: list[str] = []
    for line in written:
        if not line.startswith("<<"):
            said.append(line)
            said.extend(player.play(line))
    if said != written:
        pytest.fail("\n".join(ndiff(written, said)), pytrace=False)


class _Player:
    def __init__(self) -> None:
        self.session = Session()
        self.now = 100.0
        self.nonces: dict[str, str] = {}

    def play(self, line: str) -> list[str]:
        match line.split():
            case ["publish", revision, *words]:
                upserts, removals = _changes(words)
                return self._shown(
                    self.session.handle(Published(int(revision.strip(":")), upserts, removals), self.now)
                )
            case [">>", short, *words]:
                return self._shown(self.session.handle(self._request(TYPES[short], words), self.now))
            case ["wait", seconds]:
                self.now += float(seconds)
                return self._shown(self.session.handle(Tick(), self.now))
            case ["at:", what, *_]:
                known = self._known(what)
                return [] if line == f"at: {known}" else [f"  but it was: {known}"]
            case _:
                raise ValueError(line)

    def _request(self, type_url: str, words: list[str]) -> Request:
        match words:
            case ["ack"]:
                return Request(type_url, nonce=self.nonces[type_url])
            case ["ack", stale]:
                return Request(type_url, nonce=stale)
            case ["nack", *message]:
                return Request(type_url, nonce=self.nonces[type_url], error=" ".join(message))
            case _:
                return Request(
                    type_url,
                    subscribe=tuple(word[1:] for word in words if word.startswith("+")),
                    unsubscribe=tuple(word[1:] for word in words if word.startswith("-")),
                    versions=dict(word.split("=") for word in words if "=" in word),
                )

    def _shown(self, responses: tuple[Response, ...]) -> list[str]:
        self.nonces.update({response.type_url: response.nonce for response in responses})
        return [
            " ".join(
                [
                    f"<< {SHORT[response.type_url]}",
                    *(f"{resource.name}={resource.version}" for resource in response.resources),
                    *(f"-{name}" for name in response.removed),
                ]
            )
            for response in responses
        ]

    def _known(self, what: str) -> str:
        session = self.session
        match what:
            case "applied":
                known = [str(session.applied)]
            case "acked":
                known = [
                    f"{SHORT[each.type_url]} {each.name}={each.shape}"
                    for each in sorted(frozenset().union(*session.acked()))
                ]
            case "rejected":
                known = [f"{SHORT[no.type_url]} {no.name}={no.version} {no.message}" for no in session.rejected()]
            case "counts":
                known = ["{} wanted, {} held".format(*session.counts())]
            case _:
                raise ValueError(what)
        return " ".join([what, *known])


def _changes(words: list[str]) -> tuple[tuple[XdsResource, ...], tuple[tuple[str, str], ...]]:
    upserts: list[XdsResource] = []
    removals: list[tuple[str, str]] = []
    current = ""
    is_removal = False
    for word in words:
        if word.lstrip("-") in TYPES:
            current, is_removal = TYPES[word.lstrip("-")], word.startswith("-")
        elif is_removal:
            removals.append((current, word))
        else:
            name, _, version = word.partition("=")
            upserts.append(XdsResource(current, name, version, (version.encode(),)))
    return tuple(upserts), tuple(removals)
