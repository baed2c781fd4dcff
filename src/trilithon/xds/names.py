"""Name Envoy's resources after what they stand for; different things have different names.

Names of Kubernetes objects and listeners hold neither "/" nor ":" nor "+", so these serve as separators.
"""

from __future__ import annotations

from trilithon.model.backend import Backend
from trilithon.model.listener import PortKey, RouteTableKey
from trilithon.resources.meta import Key

# No object can have this name: a cluster of this name never exists.
NO_CLUSTER = "-"


def cluster_name(backend: Backend) -> str:
    """The cluster of a backend: "Service/shop/web:80".

    With "+h2c" where another protocol than HTTP/1.1 is spoken, and "+retries" where routes say what is tried again.
    """
    port = "" if backend.port is None else f":{backend.port}"
    protocol = "" if backend.protocol == "http" else f"+{backend.protocol}"
    retries = "+retries" if backend.retries == "by route" else ""
    return f"{_object(backend.object)}{port}{protocol}{retries}"


def secret_name(secret: Key) -> str:
    """The TLS secret of a Secret: "Secret/shop/web-tls"."""
    return _object(secret)


def listener_name(port: PortKey) -> str:
    """The Envoy listener of a port: "port-80". The port is the one written, which an offset does not change."""
    return f"port-{port.port}"


def route_table_name(table: RouteTableKey) -> str:
    """The route table of all HTTP listeners of a port, "port-80", or of one HTTPS listener, "port-443/web"."""
    port = listener_name(PortKey(table.gateway, table.port))
    return f"{port}/{table.scope}" if table.scope else port


def _object(key: Key) -> str:
    return f"{key.kind}/{key.namespace}/{key.name}"
