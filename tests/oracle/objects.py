"""Draw random sets of objects, as manifests: everything that decides where a request goes and what it looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from msgspec import Struct

Manifest = dict[str, Any]

GATEWAY_API = "gateway.networking.k8s.io/v1"
ANY = ""
WIDE = (ANY, "*.test")
HOSTNAMES = ("a.test", "b.test", "a.b.test", "*.test", "*.b.test", "*.c.b.test", "x.example.org", "*.org")
MARKER_HOST = "marker.test"

SEGMENTS = ("a", "b", "foo", "A", "x.y", "%20", "%7Eu", "~u", "a;v=1", "b+c", "@x", "a%2Db", "caf%C3%A9")
REGEXES = ("/a.*", "/(a|b)/[^/]+", ".*", "/foo(/.*)?", "/[a-z]+", "/A|/b", "/.*~.*", "/a/?")
HEADER_NAMES = ("x-a", "X-B", "x-c")
HEADER_VALUES = ("1", "2", "a,b", "1, 2", "b c", "")
VALUE_REGEXES = ("1|2", ".*", "a.*", "[0-9]+", "")
PARAMETERS = ("p", "q", "P", "x.y")
PARAMETER_VALUES = ("1", "2", "a b", "a%20b", "a+b", "é")
METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH")
BACKENDS = ("web", "cart", "laptop")


class Ports(Struct, frozen=True):
    """The ports of the Gateway: two of HTTP, one of HTTPS."""

    http: int
    other: int
    https: int


class Backends(Struct, frozen=True):
    """The ports of the echo servers by name."""

    ports: Mapping[str, int]


def standing(backends: Backends, certificate: Mapping[str, str]) -> list[Manifest]:
    """Objects that all sets share: the class, the backends, a certificate."""
    web, cart, laptop = (backends.ports[name] for name in BACKENDS)
    laptop_spec = {"endpoints": [{"ip": {"address": "127.0.0.1", "port": laptop}}]}
    return [
        _object(GATEWAY_API, "GatewayClass", "", "trilithon", {"controllerName": "trilithon.dev/gateway-controller"}),
        {**_object("v1", "Secret", "shop", "tls", None), "type": "kubernetes.io/tls", "data": dict(certificate)},
        *_service("shop", "web", web),
        *_service("store", "cart", cart),
        *_service("shop", "idle", None),
        *_service("secret", "vault", web),
        _object("trilithon.dev/v1alpha1", "Backend", "shop", "laptop", laptop_spec),
        _object(
            "gateway.networking.k8s.io/v1beta1",
            "ReferenceGrant",
            "store",
            "routes",
            {
                "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "shop"}],
                "to": [{"group": "", "kind": "Service"}],
            },
        ),
    ]


def _object(api: str, kind: str, namespace: str, name: str, spec: object) -> Manifest:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **({"spec": spec} if spec is not None else {})}


def _service(namespace: str, name: str, port: int | None) -> list[Manifest]:
    service = _object("v1", "Service", namespace, name, {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]})
    if port is None:
        return [service]
    piece = _object("discovery.k8s.io/v1", "EndpointSlice", namespace, f"{name}-1", None)
    piece["metadata"]["labels"] = {"kubernetes.io/service-name": name}
    piece |= {
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": port}],
    }
    return [service, piece]


def marker(number: int) -> Manifest:
    """A route that tells which set is served."""
    redirect = {"hostname": "served.test", "path": {"type": "ReplaceFullPath", "replaceFullPath": f"/{number}"}}
    spec = {
        "parentRefs": [{"name": "gw"}],
        "hostnames": [MARKER_HOST],
        "rules": [{"filters": [{"type": "RequestRedirect", "requestRedirect": redirect}]}],
    }
    return _object(GATEWAY_API, "HTTPRoute", "shop", "marker", spec)


class Draw:
    """Random objects from one source of chance."""

    def __init__(self, chance: Random, ports: Ports) -> None:
        self._chance = chance
        self._ports = ports

    def objects(self) -> list[Manifest]:
        """A Gateway and its routes."""
        sections: list[str] = []
        listeners = [
            *self._listeners("http", self._ports.http, "HTTP", sections),
            *self._listeners("other", self._ports.other, "HTTP", sections),
            *self._listeners("tls", self._ports.https, "HTTPS", sections),
        ]
        gateway = _object(
            GATEWAY_API, "Gateway", "shop", "gw", {"gatewayClassName": "trilithon", "listeners": listeners}
        )
        count = self._chance.choice((1, 2, 3, 5, 8))
        return [gateway, *(self._route(index, sections) for index in range(count))]

    def _is(self, probability: float) -> bool:
        return self._chance.random() < probability

    def _some(self, values: Sequence[Any], least: int, most: int) -> list[Any]:
        return self._chance.sample(values, self._chance.randint(least, min(most, len(values))))

    def _listeners(self, prefix: str, port: int, protocol: str, sections: list[str]) -> list[Manifest]:
        # One of the wide ones is always there, so that the marker can be asked for on every port.
        hostnames = self._some(WIDE, 1, 2)
        hostnames += self._some([name for name in HOSTNAMES if name not in WIDE], 0, 3 if prefix != "other" else 0)
        found = []
        for index, hostname in enumerate(hostnames):
            listener: Manifest = {"name": f"{prefix}{index}", "port": port, "protocol": protocol}
            if hostname:
                listener["hostname"] = hostname
            if protocol == "HTTPS":
                listener["tls"] = {"certificateRefs": [{"name": "tls"}]}
            if hostname not in WIDE and self._is(0.15):
                # It does not serve, and keeps its hostname.
                listener["allowedRoutes"] = {"namespaces": {"from": "Selector"}}
            sections.append(listener["name"])
            found.append(listener)
        return found

    def _route(self, index: int, sections: Sequence[str]) -> Manifest:
        parent: Manifest = {"name": "gw"}
        if self._is(0.2):
            parent["sectionName"] = self._chance.choice(sections)
        elif self._is(0.1):
            parent["port"] = self._ports.http
        spec: Manifest = {"parentRefs": [parent]}
        if self._is(0.6):
            spec["hostnames"] = self._some(HOSTNAMES, 1, 3)
        spec["rules"] = [self._rule() for _ in range(self._chance.choice((1, 1, 2, 3, 4)))]
        route = _object(GATEWAY_API, "HTTPRoute", "shop", f"r{index}", spec)
        if self._is(0.3):
            route["metadata"]["creationTimestamp"] = f"2024-01-0{self._chance.randint(1, 3)}T00:00:00Z"
        return route

    # Matches

    def _rule(self) -> Manifest:
        matches = [self._match() for _ in range(self._chance.choice((0, 1, 1, 1, 2, 3)))]
        rule: Manifest = {"matches": matches} if matches else {}
        only_prefix = len(matches) == 1 and matches[0].get("path", {}).get("type", "PathPrefix") == "PathPrefix"
        filters = self._filters(only_prefix)
        if filters:
            rule["filters"] = filters
        if not any(item["type"] == "RequestRedirect" for item in filters) and self._is(0.95):
            rule["backendRefs"] = self._backends()
        if self._is(0.03):
            rule["sessionPersistence"] = {"sessionName": "s"}
        return rule

    def _match(self) -> Manifest:
        match: Manifest = {}
        if self._is(0.85):
            match["path"] = self._path()
        if self._is(0.15):
            match["method"] = self._chance.choice(METHODS)
        if self._is(0.2):
            match["headers"] = [self._value(name, HEADER_VALUES) for name in self._some(HEADER_NAMES, 1, 2)]
        if self._is(0.2):
            match["queryParams"] = [self._value(name, PARAMETER_VALUES) for name in self._some(PARAMETERS, 1, 2)]
        return match

    def _path(self) -> Manifest:
        kind = self._chance.choice(("Exact", "PathPrefix", "PathPrefix", "PathPrefix", "RegularExpression"))
        if kind == "RegularExpression":
            bad = self._is(0.05)
            return {"type": kind, "value": "/(" if bad else self._chance.choice(REGEXES)}
        segments = [self._chance.choice(SEGMENTS) for _ in range(self._chance.choice((0, 1, 1, 2, 3)))]
        slash = "/" if segments and self._is(0.2) else ""
        return {"type": kind, "value": "/" + "/".join(segments) + slash}

    def _value(self, name: str, values: Sequence[str]) -> Manifest:
        if self._is(0.3):
            pattern = self._chance.choice([each for each in VALUE_REGEXES if each])
            return {"type": "RegularExpression", "name": name, "value": pattern}
        return {"type": "Exact", "name": name, "value": self._chance.choice([each for each in values if each])}

    # Filters

    def _filters(self, only_prefix: bool) -> list[Manifest]:
        filters: list[Manifest] = []
        if self._is(0.3):
            filters.append(_header_filter("RequestHeaderModifier", self._header_edit(("x-a", "X-B", "x-new"))))
        if self._is(0.2):
            filters.append(_header_filter("ResponseHeaderModifier", self._header_edit(("x-resp", "X-Two", "x-third"))))
        if self._is(0.2):
            filters.append(self._redirect(only_prefix))
        elif self._is(0.35):
            filters.append(self._rewrite(only_prefix))
        if self._is(0.1) and not any(item["type"] == "RequestRedirect" for item in filters):
            mirror = {"backendRef": self._chance.choice(({"name": "web", "port": 80}, {"name": "gone", "port": 80}))}
            filters.append({"type": "RequestMirror", "requestMirror": mirror})
        if self._is(0.1):
            cors = {"allowOrigins": self._chance.choice((["*"], ["https://app.test"], ["https://*.test"]))}
            filters.append({"type": "CORS", "cors": {**cors, "allowMethods": ["GET", "PUT"]}})
        if self._is(0.03):
            reference = {"group": "example.com", "kind": "Auth", "name": "strict"}
            filters.append({"type": "ExtensionRef", "extensionRef": reference})
        self._chance.shuffle(filters)
        return filters

    def _header_edit(self, names: Sequence[str]) -> Manifest:
        edit: Manifest = {}
        for name in self._some(names, 1, 3):
            action = self._chance.choice(("set", "add", "remove"))
            value = self._chance.choice(("v", "50%", "%REQ(x)%", "a, b", "%%"))
            edit.setdefault(action, []).append(name if action == "remove" else {"name": name, "value": value})
        if self._is(0.02):
            edit.setdefault("set", []).append({"name": "Host", "value": "x.test"})
        return edit

    def _path_edit(self, only_prefix: bool) -> Manifest:
        if only_prefix and self._is(0.7):
            value = self._chance.choice(("/new", "/new/", "/", "", "/n/m", "/a$b"))
            return {"type": "ReplacePrefixMatch", "replacePrefixMatch": value}
        value = self._chance.choice(("/full", "/", "/f/g/", "/f%20g", "/f~$1"))
        return {"type": "ReplaceFullPath", "replaceFullPath": value}

    def _redirect(self, only_prefix: bool) -> Manifest:
        redirect: Manifest = {}
        if self._is(0.4):
            redirect["scheme"] = self._chance.choice(("http", "https"))
        if self._is(0.5):
            redirect["hostname"] = "new.test"
        if self._is(0.3):
            redirect["port"] = self._chance.choice((80, 443, 8443))
        if self._is(0.5):
            redirect["path"] = self._path_edit(only_prefix)
        if self._is(0.5):
            redirect["statusCode"] = self._chance.choice((301, 302, 303, 307, 308))
        return {"type": "RequestRedirect", "requestRedirect": redirect}

    def _rewrite(self, only_prefix: bool) -> Manifest:
        rewrite: Manifest = {}
        if self._is(0.4):
            rewrite["hostname"] = "inner.test"
        if self._is(0.8) or not rewrite:
            rewrite["path"] = self._path_edit(only_prefix)
        return {"type": "URLRewrite", "urlRewrite": rewrite}

    # Backends

    def _backends(self) -> list[Manifest]:
        refs = [self._backend() for _ in range(self._chance.choice((1, 1, 1, 2, 3)))]
        return [ref for index, ref in enumerate(refs) if ref["name"] not in {other["name"] for other in refs[:index]}]

    def _backend(self) -> Manifest:
        ref: Manifest = self._chance.choice(
            (
                {"name": "web", "port": 80},
                {"name": "web", "port": 80},
                {"name": "cart", "namespace": "store", "port": 80},
                {"name": "cart", "namespace": "store", "port": 80},
                {"group": "trilithon.dev", "kind": "Backend", "name": "laptop"},
                {"name": "idle", "port": 80},
                {"name": "gone", "port": 80},
                {"name": "vault", "namespace": "secret", "port": 80},
                {"group": "example.com", "kind": "Bucket", "name": "bucket", "port": 80},
            )
        ).copy()
        if self._is(0.3):
            ref["weight"] = self._chance.choice((0, 1, 5))
        if self._is(0.2):
            ref["filters"] = [_header_filter("RequestHeaderModifier", self._header_edit(("x-a", "x-b", "x-new")))]
        if self._is(0.1):
            modifier = _header_filter("ResponseHeaderModifier", self._header_edit(("x-resp", "x-two")))
            ref.setdefault("filters", []).append(modifier)
        return ref


def _header_filter(kind: str, edit: Manifest) -> Manifest:
    return {"type": kind, kind[0].lower() + kind[1:]: edit}
