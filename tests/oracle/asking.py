"""Draw random requests that come close to what routes match: odd paths, hosts, headers and parameters."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from msgspec import Struct

from tests.oracle.objects import (
    HEADER_NAMES,
    HEADER_VALUES,
    METHODS,
    PARAMETER_VALUES,
    PARAMETERS,
    SEGMENTS,
    Manifest,
    Ports,
)

HOSTS = ("a.test", "b.test", "a.b.test", "z.b.test", "z.c.b.test", "x.example.org", "example.net", "org", "test")
# What a client that connects to an address writes into Host; no server name can be one.
ADDRESSES = ("[::1]", "[2001:DB8::a]", "127.0.0.1")
ODD = (
    "",
    ".",
    "..",
    "%2e",
    "%2E%2e",
    "%2f",
    "%5C",
    "a%2Fb",
    "%41",
    "%7eu",
    "%c3%a9",
    "..;",
    "...",
    "a.",
    "\\",
    "%25",
    "|",
    "..;x",
    ".;",
    "%2e%2e;",
    "%00",
    "{a}",
    "%7c",
)
HEADER_SPELLINGS = (*HEADER_NAMES, "X-A", "x-b", "x-other")
WEIGHT_OF_GET = 12


class Asked(Struct, frozen=True):
    """A request as it goes out. ``server_name`` is "" over plain HTTP."""

    port: int
    server_name: str
    method: str
    target: str
    host: str
    headers: tuple[tuple[str, str], ...]

    @property
    def url(self) -> str:
        """The URL that ``explain`` is asked about."""
        where = f"https://{self.server_name}" if self.server_name else "http://127.0.0.1"
        return f"{where}:{self.port}{self.target}"

    def __str__(self) -> str:
        headers = "".join(f" -H '{name}: {value}'" for name, value in (("Host", self.host), *self.headers))
        return f"{self.method} '{self.url}'{headers}"


class Known(Struct, frozen=True):
    """What the routes of a set look at: paths, headers and query parameters."""

    paths: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    parameters: tuple[tuple[str, str], ...]


def known(manifests: Sequence[Manifest]) -> Known:
    """What these routes look at; for a regular expression some value."""
    routes = [manifest for manifest in manifests if manifest["kind"] == "HTTPRoute"]
    matches = [match for route in routes for rule in route["spec"]["rules"] for match in rule.get("matches", ())]
    paths = [match["path"] for match in matches if "path" in match]
    return Known(
        paths=tuple(path["value"] for path in paths if path["type"] != "RegularExpression"),
        headers=tuple(_example(each) for match in matches for each in match.get("headers", ())),
        parameters=tuple(_example(each) for match in matches for each in match.get("queryParams", ())),
    )


def _example(condition: Manifest) -> tuple[str, str]:
    return condition["name"], "1" if condition["type"] == "RegularExpression" else condition["value"]


class Curious:
    """Random requests from one source of chance, about what some routes look at."""

    def __init__(self, chance: Random, ports: Ports, about: Known) -> None:
        self._chance = chance
        self._ports = ports
        self._about = about

    def ask(self) -> Asked:
        """A request."""
        host = self._chance.choice(HOSTS)
        server_name = ""
        port = self._chance.choice((self._ports.http, self._ports.http, self._ports.other, self._ports.https))
        if port == self._ports.https:
            # Mostly the same name in both, as browsers do; else a connection that is used for another host.
            server_name = host if self._is(0.85) else self._chance.choice(HOSTS)
        headers = self._headers()
        is_preflight = len(headers) > 1 and headers[-1][0] == "access-control-request-method"
        return Asked(
            port=port,
            server_name=server_name,
            method="OPTIONS" if is_preflight else self._chance.choice((*(["GET"] * WEIGHT_OF_GET), *METHODS)),
            target=self._path() + self._query(),
            host=self._host(host, port),
            headers=headers,
        )

    def _is(self, probability: float) -> bool:
        return self._chance.random() < probability

    def _host(self, host: str, port: int) -> str:
        if self._is(0.04):
            address = self._chance.choice(ADDRESSES)
            return f"{address}:{port}" if self._is(0.5) else address
        if self._is(0.15):
            host = host.upper() if self._is(0.5) else host.capitalize()
        if self._is(0.1):
            host += "."
        if self._is(0.3):
            host += f":{self._chance.choice((port, 80, 8080, 443))}"
        return host

    def _path(self) -> str:
        segments: list[str] = []
        if self._about.paths and self._is(0.8):
            segments = self._chance.choice(self._about.paths).strip("/").split("/")
        segments += [self._chance.choice(SEGMENTS) for _ in range(self._chance.choice((0, 0, 0, 1, 2)))]
        if segments and self._is(0.1):
            # Not the element that a prefix ends with, though it begins the same.
            segments[-1] += "x"
        if self._is(0.25):
            segments.insert(self._chance.randint(0, len(segments)), self._chance.choice(ODD))
        if self._is(0.05):
            segments.insert(self._chance.randint(0, len(segments)), self._chance.choice(ODD))
        if segments and self._is(0.1):
            at = self._chance.randrange(len(segments))
            segments[at] = self._chance.choice((segments[at].upper(), segments[at] + "x", segments[at].lower()))
        return "/" + "/".join(segments) + ("/" if self._is(0.2) else "")

    def _query(self) -> str:
        if self._is(0.6):
            return ""
        pairs = []
        for _ in range(self._chance.choice((0, 1, 1, 2, 3))):
            name = self._chance.choice((*PARAMETERS, "p", "q", "%70", "x%2Ey"))
            value = self._chance.choice((*PARAMETER_VALUES, "1", "2", "%31", "", "a%20b", "/", "a=b"))
            pairs.append(name if self._is(0.05) else f"{name}={value}")
        if self._about.parameters and self._is(0.7):
            pairs.append("=".join(self._chance.choice(self._about.parameters)))
        if pairs and self._is(0.3):
            # The same name once more, with another value.
            pairs.append(f"{self._chance.choice(pairs).partition('=')[0]}={self._chance.choice(PARAMETER_VALUES)}")
        self._chance.shuffle(pairs)
        text = self._chance.choice(("&", "&", "&", ";", "&&")).join(pairs)
        return "?" + text.replace("é", "%C3%A9").replace(" ", "+")

    def _headers(self) -> tuple[tuple[str, str], ...]:
        if self._is(0.5):
            return ()
        found = [
            (self._chance.choice(HEADER_SPELLINGS), self._chance.choice(HEADER_VALUES))
            for _ in range(self._chance.choice((0, 1, 2)))
        ]
        if self._about.headers:
            found += [self._chance.choice(self._about.headers) for _ in range(self._chance.choice((0, 1, 1, 2)))]
        if found and self._is(0.3):
            found.append((self._chance.choice(found)[0].swapcase(), self._chance.choice(HEADER_VALUES)))
        self._chance.shuffle(found)
        if self._is(0.02):
            found.append(("x_under", "1"))
        if self._is(0.1):
            found.append(("origin", self._chance.choice(("https://app.test", "https://other.org"))))
            if self._is(0.5):
                found.append(("access-control-request-method", "PUT"))
        return tuple(found)
