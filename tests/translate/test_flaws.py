"""Laws of stored objects with any change: each is read, nothing breaks, and what is not understood opens nothing.

Each request is answered as before the change, or refused, but for what nobody could know (docs/decisions.md): which
paths a path means, which hosts a hostname, and where a parent or listener would have been.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.resources.test_laws import EXAMPLES, places
from tests.resources.world import core, document, gateway, service, slice_of
from trilithon.inspect.explain import explain
from trilithon.inspect.request import parse
from trilithon.model.rule import Refuse
from trilithon.model.settings import Installation, Settings
from trilithon.model.tables import ATTACHMENTS, LISTENERS, RULES
from trilithon.pipeline import Translation, translate
from trilithon.resources.decode import decode
from trilithon.resources.flaw import ALL_RULES, WHOLE, listener_part
from trilithon.resources.gateways import Gateway
from trilithon.resources.kinds import KINDS
from trilithon.resources.routes import HTTPRoute
from trilithon.resources.stored import ObjectReader
from trilithon.status.problems import GATEWAY_PROBLEMS, ROUTE_PROBLEMS

READERS = {kind.name: ObjectReader(kind) for kind in KINDS}
CLUSTER = Settings(shared_address=False, private_backends=False, installation=Installation("trilithon-system", "it"))
BY_KIND = {each["kind"]: {**each, "metadata": {"name": "gw", "namespace": "shop"}} for each in EXAMPLES[:3]}
BY_KIND["GatewayClass"]["metadata"] = {"name": "t"}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.text("aA1./-*", max_size=4)
    | st.sampled_from(["Future", "Exact", "HTTPS", "Selector", "type", "port", "URLRewrite"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "name", "port", "path", "value", "filters"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def changed(data: st.DataObject, written: dict[str, Any]) -> dict[str, Any]:
    """The document with one to three places of its spec changed, removed or repeated."""
    found = copy.deepcopy(written)
    for _ in range(data.draw(st.integers(1, 3))):
        if not (where := places(found["spec"])):
            break
        container, key = data.draw(st.sampled_from(where))
        match data.draw(st.sampled_from(["change", "remove", "repeat"])):
            case "change":
                container[key] = data.draw(JSON)
            case "remove":
                del container[key]
            case "repeat" if isinstance(container, list):
                container.append(copy.deepcopy(container[key]))
    return found


@settings(max_examples=300)
@given(data=st.data(), kind=st.sampled_from(sorted(BY_KIND)))
def test_what_is_not_understood_opens_nothing(data: st.DataObject, kind: str) -> None:
    written = {**BY_KIND, kind: changed(data, BY_KIND[kind])}
    read = {name: READERS[name](msgspec.json.encode(each)) for name, each in written.items()}
    found: Any = read[kind].resource
    as_document = decode(written[kind])
    is_refused = as_document.refused
    if found is None:
        assert is_refused
        assert any(each.severity == "error" for each in read[kind].problems)
        return
    if not as_document.problems:
        assert found.flaws == ()
    translated = translate([each.resource for each in read.values()], CLUSTER)
    engine = translated.engine
    assert not engine.faults
    parts = {flaw.part for flaw in found.flaws}
    if isinstance(found, HTTPRoute):
        rules, attachments = engine.row(RULES, found.key), engine.row(ATTACHMENTS, found.key)
        assert rules is not None
        assert attachments is not None
        if WHOLE in parts:
            assert rules.items == ()
            assert not any(parent.attachments for parent in attachments.parents)
        for rule in rules.items:
            assert isinstance(rule.action, Refuse) or ALL_RULES not in parts
            inside = [part for part in parts if part.split(".matches")[0] == f"spec.rules[{rule.index}]"]
            assert not inside or isinstance(rule.action, Refuse)
            assert not parts & {f"spec.rules[{rule.index}].matches[{match.index}]" for match in rule.matches}
        told = engine.row(ROUTE_PROBLEMS, found.key) if attachments.parents else None
    elif isinstance(found, Gateway):
        listeners = engine.row(LISTENERS, found.key)
        if listeners is None:
            return
        lost = [each for each in listeners.items if listener_part(each.key.name) in parts]
        assert not any(each.serves for each in lost)
        told = engine.row(GATEWAY_PROBLEMS, found.key)
    else:
        return
    if told is not None or (isinstance(found, Gateway) and parts):
        assert told is not None
        assert {flaw.path for flaw in found.flaws} <= {each.path for each in told.items}, "each is told"


ANSWERED = {
    "GatewayClass": {**BY_KIND["GatewayClass"], "metadata": {"name": "t"}},
    "Gateway": gateway(
        {"name": "http", "port": 80, "protocol": "HTTP"},
        {
            "name": "admin",
            "port": 80,
            "protocol": "HTTP",
            "hostname": "admin.test",
            "allowedRoutes": {
                "namespaces": {"from": "Selector", "selector": {"matchLabels": {"a": "b"}}},
                "kinds": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}],
            },
        },
        infrastructure={"labels": {"a": "b"}},
        tls={"backend": {"clientCertificateRef": {"name": "cert"}}},
    ),
    "HTTPRoute": document(
        "HTTPRoute",
        spec={
            "parentRefs": [{"name": "a"}],
            "hostnames": ["admin.test", "*.a.test"],
            "rules": [
                {
                    "name": "one",
                    "matches": [
                        {
                            "path": {"value": "/admin"},
                            "method": "GET",
                            "headers": [{"name": "x", "value": "1"}, {"name": "y", "type": "Exact", "value": "1"}],
                            "queryParams": [{"name": "q", "value": "1"}],
                        },
                        {"path": {"value": "/other"}, "headers": [{"name": "x", "value": "1"}]},
                    ],
                    "filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "b.test"}}],
                },
                {
                    "matches": [{"path": {"value": "/admin"}, "method": "GET"}],
                    "backendRefs": [{"name": "a", "port": 80}],
                },
                {
                    "filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "c.test"}}],
                    "backendRefs": [{"name": "a", "port": 80, "weight": 2}],
                    "timeouts": {"request": "10s"},
                },
            ],
        },
    ),
}
BESIDE = [
    {
        **document(
            "HTTPRoute",
            spec={
                "parentRefs": [{"name": "a"}],
                "rules": [{"backendRefs": [{"name": "a", "port": 80}]}],
            },
        ),
        "metadata": {"name": "wide", "namespace": "shop", "creationTimestamp": "2020-01-01T00:00:00Z"},
    },
    service({"port": 80}),
    {**slice_of("IPv4", "10.0.0.1"), "metadata": {"name": "a", "labels": {"kubernetes.io/service-name": "a"}}},
    {**core("Namespace"), "metadata": {"name": "shop", "labels": {"a": "b"}}},
]
REQUESTS = [
    parse(method, f"http://{host}{path}", headers)
    for host, path, method, headers in product(
        ("admin.test", "x.a.test", "else.test"),
        ("/", "/admin?q=1", "/admin", "/other"),
        ("GET", "POST"),
        ((), ("x: 1",), ("y: 1",), ("x: 1", "y: 1")),
    )
]
# What nobody could know, and what says which object it is.
UNKNOWABLE = re.compile(
    r"spec\.rules\[\d\]\.matches\[\d\]\.path\b.*|spec\.hostnames\[.*|spec\.parentRefs\[\d\]\.name"
    r"|spec\.(rules|hostnames|parentRefs|gatewayClassName|listeners)|spec\.rules\[\d\]\.matches(\[\d\])?"
    r"|spec\.rules\[\d\]|spec\.parentRefs\[\d\]|spec\.listeners\[\d\](\.(name|port|protocol|hostname))?"
)


def paths(value: Any, at: str = "spec") -> Iterator[tuple[str, Any, Any]]:
    """Every field and entry: its path, what it is in, and its key."""
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        path = f"{at}[{key}]" if isinstance(value, list) else f"{at}.{key}"
        yield path, value, key
        if isinstance(inner, (dict, list)):
            yield from paths(inner, path)


def edits_of(written: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each field or entry once with something that is not understood in it, beside it, or in its place."""
    for number, (path, holder, key) in enumerate(paths(written["spec"])):
        if isinstance(holder[key], (dict, list)) and ".path" not in path:
            found = copy.deepcopy(written)
            _, inner, name = list(paths(found["spec"]))[number]
            if isinstance(inner[name], dict):
                inner[name]["future"] = {}
            else:
                inner[name].append({"future": {}} if inner[name] and path.endswith("matches") else "Fu*ture")
            yield f"{path} has more", found
        if not UNKNOWABLE.fullmatch(path):
            found = copy.deepcopy(written)
            _, inner, name = list(paths(found["spec"]))[number]
            inner[name] = [{"future": {}}] if isinstance(holder[key], (str, int)) else "Fu*ture"
            yield f"{path} is another", found


EDITS = [(kind, *each) for kind in ("Gateway", "HTTPRoute") for each in edits_of(ANSWERED[kind])]


def answers(written: dict[str, dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """What each request gets: a backend or redirect by which rule, or a refusal."""
    objects = [{**each, "metadata": {"namespace": "shop", **each["metadata"]}} for each in (*written.values(), *BESIDE)]
    rows = [READERS[each["kind"]](msgspec.json.encode(each)).resource for each in objects]
    translated: Translation = translate([row for row in rows if row is not None], CLUSTER)
    assert not translated.engine.faults
    for request in REQUESTS:
        found = explain(translated, request)
        yield (found.route, found.rule) if found.outcome in ("forward", "redirect") else ()


BEFORE = list(answers(ANSWERED))


def test_before_the_change_requests_are_answered() -> None:
    assert len({*BEFORE} - {()}) == 4
    assert () not in BEFORE


@pytest.mark.parametrize(("kind", "what", "edited"), EDITS, ids=[f"{kind} {what}" for kind, what, _ in EDITS])
def test_each_request_is_answered_as_before_or_refused(kind: str, what: str, edited: dict[str, Any]) -> None:
    found: Any = READERS[kind](msgspec.json.encode(edited)).resource
    assert found is None or found.flaws, f"{what} is understood"
    for request, before, after in zip(REQUESTS, BEFORE, answers({**ANSWERED, kind: edited}), strict=True):
        assert after in (before, ()), request
