"""Envoy as far as xDS can tell: what it asks for, what it applies, what it refuses, and when it acknowledges.

Behaves as Envoy 1.40 was seen to: a changed cluster warms up again and waits for its endpoints, without asking for
them if it has asked before; while a cluster warms up nothing is said about clusters; a response with something that
does not validate is discarded whole, one with something unusable is applied but for that, and both are refused.

The version of a resource says what is in it: "4", "4->a,b" (names a and b), "4!" (does not validate), "4?" (unusable).
"""

from __future__ import annotations

from trilithon.sinks.delivery.feed import Request, Response
from trilithon.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE

TYPES = (CLUSTER, ENDPOINT, LISTENER, ROUTE)


def names_in(version: str) -> set[str]:
    """The resources that this one names."""
    return set(version.partition("->")[2].split(",")) - {""}


class ModelEnvoy:
    """One Envoy; ``out`` is what it has written to the stream and nobody has read yet."""

    def __init__(self) -> None:
        self.active: dict[str, dict[str, str]] = {type_url: {} for type_url in TYPES}
        self.refused: set[tuple[str, str]] = set()
        self.out: list[Request] = []
        # Applied from a refused response: Envoy would not report it on a new stream.
        self.unsaid: set[tuple[str, str]] = set()
        self._known: dict[str, dict[str, str]] = {type_url: {} for type_url in TYPES}
        self._warming: dict[str, str] = {}
        self._asked: dict[str, set[str]] = {ENDPOINT: set(), ROUTE: set()}
        self._late: list[Request] = []
        self._has_answer = False
        self._is_started = False

    def connect(self) -> None:
        """Open a new stream: say everything again."""
        self.out = []
        self._late = []
        self._say_clusters(Request(CLUSTER, versions=dict(self._known[CLUSTER])))
        if self._asked[ENDPOINT]:
            self.out.append(self._first(ENDPOINT))
        if self._is_started:
            self.out.append(Request(LISTENER, versions=dict(self._known[LISTENER])))
        if self._asked[ROUTE]:
            self.out.append(self._first(ROUTE))

    def _first(self, type_url: str) -> Request:
        asked = self._asked[type_url]
        versions = {name: version for name, version in self._known[type_url].items() if name in asked}
        return Request(type_url, subscribe=tuple(sorted(asked)), versions=versions)

    def read(self, response: Response) -> None:
        """Take in one response."""
        type_url = response.type_url
        is_discarded = any(resource.version.endswith("!") for resource in response.resources)
        # What it gave up in the meantime it does not look at, beyond validation.
        asked = self._asked.get(type_url, {resource.name for resource in response.resources})
        bad = [
            resource.name
            for resource in response.resources
            if resource.version.endswith("!") or (resource.version.endswith("?") and resource.name in asked)
        ]
        for resource in response.resources:
            if not is_discarded and resource.name in asked and resource.name not in bad:
                self._apply(type_url, resource.name, resource.version)
        for name in bad:
            self.refused.add((type_url, name))
        if not is_discarded:
            for name in response.removed:
                self._remove(type_url, name)
        if type_url == ENDPOINT:
            for name in (*(resource.name for resource in response.resources), *response.removed):
                self._warmed(name)
        names = {(type_url, name) for name in (*(resource.name for resource in response.resources), *response.removed)}
        self.unsaid = self.unsaid | (names & self._present()) if bad else self.unsaid - names
        if not bad:
            self._known[type_url].update(
                {resource.name: resource.version for resource in response.resources if resource.name in asked}
            )
            for name in response.removed:
                self._known[type_url].pop(name, None)
        self._subscribe()
        answer = Request(type_url, nonce=response.nonce, error="refused" if bad else None)
        if type_url == CLUSTER:
            self._has_answer = True
            self._say_clusters(answer)
        else:
            self.out.append(answer)
        self._say_late()

    def _apply(self, type_url: str, name: str, version: str) -> None:
        if type_url != CLUSTER:
            self.refused.discard((type_url, name))
            self.active[type_url][name] = version
        elif self._warming.get(name, self.active[CLUSTER].get(name)) != version:
            self._warming[name] = version

    def _remove(self, type_url: str, name: str) -> None:
        if type_url in (CLUSTER, LISTENER):
            self.active[type_url].pop(name, None)
            self._warming.pop(name, None)

    def _warmed(self, name: str) -> None:
        if name in self._warming:
            self.refused.discard((CLUSTER, name))
            self.active[CLUSTER][name] = self._warming.pop(name)

    def _present(self) -> set[tuple[str, str]]:
        active = {(type_url, name) for type_url, names in self.active.items() for name in names}
        return active | {(CLUSTER, name) for name in self._warming}

    def _subscribe(self) -> None:
        wanted = {
            ENDPOINT: {*self.active[CLUSTER], *self._warming},
            ROUTE: {table for version in self.active[LISTENER].values() for table in names_in(version)},
        }
        for type_url, names in wanted.items():
            asked = self._asked[type_url]
            if names != asked:
                more, less = tuple(sorted(names - asked)), tuple(sorted(asked - names))
                self.out.append(Request(type_url, subscribe=more, unsubscribe=less))
                self._asked[type_url] = names
                for name in less:
                    self.active[type_url].pop(name, None)
                    self._known[type_url].pop(name, None)

    def _say_clusters(self, request: Request) -> None:
        (self._late if self._warming else self.out).append(request)

    def _say_late(self) -> None:
        if self._warming:
            return
        self.out.extend(self._late)
        self._late = []
        if self._has_answer and not self._is_started:
            # Listeners are asked for when the first clusters are warm, or refused.
            self._is_started = True
            self.out.append(Request(LISTENER))

    def asked(self, type_url: str) -> set[str]:
        """The names of this type that it has subscribed to."""
        return self._asked[type_url]

    def dangling(self) -> set[str]:
        """Clusters that a table in use names and that are neither there nor refused."""
        named = {name for version in self.active[ROUTE].values() for name in names_in(version)}
        return {name for name in named - self.active[CLUSTER].keys() if (CLUSTER, name) not in self.refused}
