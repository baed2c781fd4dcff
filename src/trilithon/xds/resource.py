"""One resource as Envoy gets it: its type, its name, its bytes and the version that follows from the bytes."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from trilithon.xds.wire import digest

_PREFIX = "type.googleapis.com/"
# Between a version's shape and its digest, which is hexadecimal.
_SHAPE_MARK = "."
CLUSTER = f"{_PREFIX}envoy.config.cluster.v3.Cluster"
ENDPOINT = f"{_PREFIX}envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = f"{_PREFIX}envoy.config.listener.v3.Listener"
ROUTE = f"{_PREFIX}envoy.config.route.v3.RouteConfiguration"
SCOPED_ROUTE = f"{_PREFIX}envoy.config.route.v3.ScopedRouteConfiguration"
SECRET = f"{_PREFIX}envoy.extensions.transport_sockets.tls.v3.Secret"


class Serializable(Protocol):
    """A protobuf message, as far as this module needs to know."""

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes: ...  # noqa: N802 - protobuf's name


class XdsResource(Struct, frozen=True, gc=False):
    """A resource of one Envoy. The chunks, joined, are the serialized message.

    Protobuf joins repeated fields that are written one after another, so a route table can be its own header and one
    chunk for each virtual host, and a changed host costs that chunk only. See ``shape_of`` for the version.
    """

    type_url: str
    name: str
    version: str
    chunks: tuple[bytes, ...]

    @classmethod
    def of(cls, type_url: str, name: str, content: Serializable | tuple[bytes, ...], *, shape: str = "") -> XdsResource:
        """The resource with this content.

        Equal bytes of one shape have equal versions in every process, however they are cut.
        """
        chunks = content if isinstance(content, tuple) else (content.SerializeToString(deterministic=True),)
        version = digest(chunks)
        return cls(type_url, name, f"{shape}{_SHAPE_MARK}{version}" if shape else version, chunks)

    def __repr__(self) -> str:
        # The bytes may be a private key, and tracebacks and logs print values.
        size = sum(map(len, self.chunks))
        return f"XdsResource({self.type_url.removeprefix(_PREFIX)} {self.name!r} {self.version}, {size} bytes)"


def shape_of(type_url: str, version: str) -> str:
    """What of a version has to be acknowledged before a Gateway is programmed.

    A route table changes with every route, and none of that makes the Gateway less programmed: its version begins with
    the shape that the listeners give it, which survives in what Envoy holds, also across control planes. A secret
    counts at any version, since a renewed certificate is no change of the Gateway. All else counts as a whole.
    """
    return "" if type_url == SECRET else version.partition(_SHAPE_MARK)[0]
