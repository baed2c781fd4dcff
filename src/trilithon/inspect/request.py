"""A request as a client sends it, and as it looks after Envoy has made it canonical."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from msgspec import Struct

DEFAULT_PORTS = {"http": 80, "https": 443}
_WEB_SOCKETS = {"ws": "http", "wss": "https"}
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")


class BadRequestError(ValueError):
    """The request cannot be asked about; the message says what to write instead."""


class Request(Struct, frozen=True):
    """One request. ``host`` is the Host header without port, lower case; ``server_name`` is what TLS asks for.

    ``path`` and ``query`` are as sent; ``headers`` have lower-case names, in order, without Host.
    """

    method: str
    scheme: str
    server_name: str
    port: int
    host: str
    authority: str
    path: str
    query: str | None
    headers: tuple[tuple[str, str], ...]

    @property
    def target(self) -> str:
        """Path and query."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    def header(self, name: str) -> str | None:
        """All values of a header joined by a comma, as matching sees them, or None."""
        values = [value for each, value in self.headers if each == name]
        return ",".join(values) if values else None


def parse(method: str, url: str, headers: Iterable[str] = ()) -> Request:
    """A request from what a user types: a method, a URL, and headers as "name: value". Raises BadRequestError."""
    if not TOKEN.match(method):
        raise BadRequestError(f"{method!r} is not a method; write GET, POST, ...")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadRequestError(f"{url!r} is not a URL: {error}") from None
    if parts.scheme in _WEB_SOCKETS:
        raise BadRequestError(
            f"{url!r}: a WebSocket begins as a request of {_WEB_SOCKETS[parts.scheme]}; "
            f"write {_WEB_SOCKETS[parts.scheme]}:{url.partition(':')[2]}"
        )
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise BadRequestError(f"{url!r} is not a URL of http or https; write http://host:port/path")
    pairs = [_header(text) for text in headers]
    hosts = [value for name, value in pairs if name == "host"]
    if len(hosts) > 1:
        raise BadRequestError("there can be only one Host header")
    # An explicit port in the URL is part of the Host header that clients send.
    authority = _without_trailing_dot(hosts[0] if hosts else parts.netloc.rpartition("@")[2])
    host = without_port(authority).lower()
    if not host:
        raise BadRequestError("the Host header is empty")
    return Request(
        method=method,
        scheme=parts.scheme,
        # Clients ask TLS for the name without the dot that ends it (RFC 6066, 3).
        server_name=parts.hostname.lower().removesuffix("."),
        port=port if port is not None else DEFAULT_PORTS[parts.scheme],
        host=host,
        authority=authority,
        path=parts.path or "/",
        query=parts.query if "?" in url.partition("#")[0] else None,
        headers=tuple((name, value) for name, value in pairs if name != "host"),
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not TOKEN.match(name.strip()):
        raise BadRequestError(f"{text!r} is not a header; write 'name: value'")
    return name.strip().lower(), value.strip()


def _without_trailing_dot(authority: str) -> str:
    """The authority as Envoy forwards it: "example.com." names the same host as "example.com"."""
    host, colon, port = authority.rpartition(":")
    if colon and port.isdecimal():
        return f"{host.removesuffix('.')}:{port}"
    return authority.removesuffix(".")


def without_port(authority: str) -> str:
    """The host of an authority; an IPv6 address keeps its brackets."""
    if authority.startswith("["):
        return authority.partition("]")[0] + "]"
    return authority.partition(":")[0]


def has_escaped_slash(path: str) -> bool:
    """Whether Envoy redirects the client to the path with its %2F and %5C unescaped (UNESCAPE_AND_REDIRECT)."""
    return re.search(r"%2f|%5c", path, re.IGNORECASE) is not None


def canonical_path(path: str) -> str:
    """The path as Envoy matches and forwards it.

    Escaped slashes are undone and backslashes made slashes, unreserved characters unescaped and those that a path may
    not hold escaped (RFC 3986, 6.2.2.2), dot segments removed, slashes merged.
    """
    path = re.sub(r"%2f|%5c|\\", "/", path, flags=re.IGNORECASE)
    kept: list[str] = []
    segments = path.split("/")[1:]
    for index, segment in enumerate(segments):
        step = _step(segment)
        if step == "..":
            if kept:
                kept.pop()
        elif step != ".":
            kept.append(_ESCAPED.sub(_spelled, segment))
            continue
        if index == len(segments) - 1:
            kept.append("")
    if len(kept) > 1 and not any(kept):
        # Envoy merges slashes between segments, and here there is none.
        return "//"
    return re.sub(r"/{2,}", "/", "/" + "/".join(kept))


# What looks different after normalisation: any escape, and the printable characters that must be escaped.
_ESCAPED = re.compile(r"""%([0-9A-Fa-f]{2})|["<>^`{|}]""")
_UNRESERVED = frozenset("-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def _spelled(found: re.Match[str]) -> str:
    if found[1] is None:
        return f"%{ord(found[0]):02X}"
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0]


def _step(segment: str) -> str:
    """The segment, with "." and ".." told also where they are escaped, or followed by a parameter (";...").

    Envoy sees a parameter behind plain dots only: "%2e%2e;" stays an ordinary segment.
    """
    name, semicolon, _ = segment.partition(";")
    if semicolon and name in (".", ".."):
        return name
    return re.sub(r"%2e", ".", segment, flags=re.IGNORECASE)


def query_parameters(query: str | None) -> dict[str, str]:
    """First value of each query parameter, undecoded, as Envoy matches them."""
    found: dict[str, str] = {}
    for pair in (query or "").split("&"):
        name, _, value = pair.partition("=")
        if name and name not in found:
            found[name] = value
    return found
