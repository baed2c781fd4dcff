"""Manifests of the system tests in few words: everything lives in the namespace demo unless it is said otherwise."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import trustme
import yaml

Json = dict[str, Any]
GATEWAY_API = "gateway.networking.k8s.io/v1"
OWN_API = "trilithon.dev/v1alpha1"
ALL = {"path": {"type": "PathPrefix", "value": "/"}}


class Folder:
    """A folder of manifests."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, *documents: Json | str) -> Path:
        """Write a file anew, as an editor that does not rename would; text is taken as it is."""
        file = self.path / name
        texts = [each if isinstance(each, str) else yaml.safe_dump(each, sort_keys=False) for each in documents]
        file.write_text("---\n".join(texts))
        return file

    def remove(self, name: str) -> None:
        """Delete a file."""
        (self.path / name).unlink()


def thing(api_version: str, kind: str, name: str, *, namespace: str = "demo", **rest: Any) -> Json:
    """Any object."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"namespace": namespace, "name": name}, **rest}


def listener(port: int, name: str = "http", *, hostname: str | None = None) -> Json:
    """An HTTP listener that takes routes of every namespace."""
    found: Json = {"name": name, "port": port, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    return found if hostname is None else {**found, "hostname": hostname}


def tls_listener(
    port: int, name: str, *certificates: str, hostname: str | None = None, namespace: str | None = None
) -> Json:
    """An HTTPS listener with these Secrets, which are in the namespace of the Gateway or in another."""
    there = {} if namespace is None else {"namespace": namespace}
    refs = [{"name": each, **there} for each in certificates]
    return {**listener(port, name, hostname=hostname), "protocol": "HTTPS", "tls": {"certificateRefs": refs}}


def gateway(*listeners: Json, name: str = "gw") -> Json:
    """A Gateway of the class trilithon."""
    return thing(GATEWAY_API, "Gateway", name, spec={"gatewayClassName": "trilithon", "listeners": list(listeners)})


def route(
    name: str,
    *rules: Json,
    hosts: Sequence[str] = (),
    at: str | None = None,
    gateway: str = "gw",
    namespace: str = "demo",
) -> Json:
    """An HTTPRoute, attached to the whole Gateway or to one of its listeners."""
    parent = {"namespace": "demo", "name": gateway, **({} if at is None else {"sectionName": at})}
    spec: Json = {"parentRefs": [parent], "rules": list(rules)}
    return thing(
        GATEWAY_API, "HTTPRoute", name, namespace=namespace, spec=spec | ({"hostnames": list(hosts)} if hosts else {})
    )


def rule(*refs: Json, matches: Sequence[Json] = (), filters: Sequence[Json] = (), **rest: Any) -> Json:
    """A rule of an HTTPRoute."""
    return {
        **({"matches": list(matches)} if matches else {}),
        **({"filters": list(filters)} if filters else {}),
        **({"backendRefs": list(refs)} if refs else {}),
        **rest,
    }


def prefix(value: str) -> Json:
    """A match of a path prefix."""
    return {"path": {"type": "PathPrefix", "value": value}}


def to(name: str, weight: int = 1, **rest: Any) -> Json:
    """A reference to a Backend."""
    return {"group": "trilithon.dev", "kind": "Backend", "name": name, "weight": weight, **rest}


def to_service(name: str, port: int = 80, **rest: Any) -> Json:
    """A reference to a Service."""
    return {"name": name, "port": port, **rest}


def backend(name: str, *ports: int, namespace: str = "demo", protocol: str | None = None) -> Json:
    """A Backend at ports of this machine."""
    spec: Json = {"endpoints": [{"ip": {"address": "127.0.0.1", "port": port}} for port in ports]}
    return thing(
        OWN_API, "Backend", name, namespace=namespace, spec=spec | ({"appProtocol": protocol} if protocol else {})
    )


def service(name: str, **rest: Any) -> Json:
    """A Service with port 80, called http."""
    return thing("v1", "Service", name, spec={"ports": [{"name": "http", "port": 80, **rest}]})


def endpoints(service: str, *ports: int) -> list[Json]:
    """The EndpointSlices of a Service at ports of this machine: one for each port, all of which are there."""
    return [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "namespace": "demo",
                "name": f"{service}-{number}",
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
            "ports": [{"name": "http", "port": port}],
        }
        for number, port in enumerate(ports)
    ]


def secret(name: str, certificate: trustme.LeafCert, *, namespace: str = "demo") -> Json:
    """A TLS Secret."""
    chain = b"".join(each.bytes() for each in certificate.cert_chain_pems)
    data = {"tls.crt": chain, "tls.key": certificate.private_key_pem.bytes()}
    return thing(
        "v1",
        "Secret",
        name,
        namespace=namespace,
        type="kubernetes.io/tls",
        data={key: base64.b64encode(value).decode() for key, value in data.items()},
    )


def grant(name: str, *, namespace: str, sources: Iterable[Mapping[str, str]], target: Mapping[str, str]) -> Json:
    """A ReferenceGrant of the namespace."""
    spec = {"from": [dict(each) for each in sources], "to": [dict(target)]}
    return thing("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", name, namespace=namespace, spec=spec)
