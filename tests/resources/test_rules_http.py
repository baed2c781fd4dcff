"""The rules of HTTPRoute: each sentence with a document that keeps it and one that breaks it (CRD of v1.6.1)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.resources.world import PREFIX, WEB, by_filter, errors, filtered, match, path, route, rule

REDIRECT = filtered("RequestRedirect", requestRedirect={})
TO_PREFIX = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"}}
REWRITE = filtered("URLRewrite", urlRewrite=TO_PREFIX)
REDIRECT_PREFIX = filtered("RequestRedirect", requestRedirect=TO_PREFIX)
SET = {"requestHeaderModifier": {"set": [{"name": "a", "value": "b"}]}}
MIRROR = {"backendRef": WEB}
GW = {"name": "gw"}


def cors(**settings: Any) -> dict[str, Any]:
    return by_filter(filtered("CORS", cors=settings))


def auth(**settings: Any) -> dict[str, Any]:
    return by_filter(filtered("ExternalAuth", externalAuth={"backendRef": WEB, **settings}))


def headers(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "value": "x"} for name in names]


def modifier(**settings: Any) -> dict[str, Any]:
    return by_filter(filtered("ResponseHeaderModifier", responseHeaderModifier=settings))


def mirror(**settings: Any) -> dict[str, Any]:
    return by_filter(filtered("RequestMirror", requestMirror={**MIRROR, **settings}))


def redirect_path(**settings: Any) -> dict[str, Any]:
    return by_filter(filtered("RequestRedirect", requestRedirect={"path": settings}), matches=[PREFIX])


def inner(*filters: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return rule(backendRefs=[{**WEB, "filters": list(filters)}], **fields)


FILTER, PATH = "spec.rules[0].filters[0]", "spec.rules[0].matches[0].path"
Row = tuple[str, dict[str, Any], dict[str, Any], tuple[str, str]]
ROWS: list[Row] = [
    (
        "two references to one parent both name a section or both do not",
        route(parentRefs=[{**GW, "sectionName": "a"}, {**GW, "sectionName": "b"}]),
        route(parentRefs=[{**GW, "sectionName": "a"}, GW]),
        ("ConflictingFields", "spec.parentRefs[1]"),
    ),
    (
        "two references to one parent both name a port or both do not",
        route(parentRefs=[{**GW, "port": 80}, {**GW, "port": 81}, {**GW, "namespace": "other"}]),
        route(parentRefs=[{**GW, "port": 80}, {**GW, "sectionName": "a", "port": 80}]),
        ("ConflictingFields", "spec.parentRefs[1]"),
    ),
    (
        "two references to one parent differ in section or port",
        route(parentRefs=[{**GW, "port": 80}, {**GW, "port": 81}]),
        route(parentRefs=[{**GW, "port": 80}, {**GW, "port": 80}]),
        ("DuplicateName", "spec.parentRefs[1]"),
    ),
    (
        "a route has at most 128 matches in all its rules",
        route(rules=[{"matches": [{}] * 64}] * 2),
        route(rules=[{"matches": [{}] * 64}] * 2 + [{}]),
        ("TooMany", "spec.rules"),
    ),
    (
        "names of rules differ",
        route(rules=[{"name": "a"}, {"name": "b"}, {}, {}]),
        route(rules=[{"name": "a"}, {"name": "b"}, {"name": "a"}]),
        ("DuplicateName", "spec.rules[2].name"),
    ),
    (
        "a rule that redirects has no backends",
        by_filter(REDIRECT, backendRefs=[]),
        by_filter(REDIRECT, backendRefs=[WEB]),
        ("ConflictingFields", f"{FILTER}.requestRedirect"),
    ),
    (
        "redirecting a prefix needs exactly one prefix match",
        by_filter(REDIRECT_PREFIX, matches=[PREFIX]),
        by_filter(REDIRECT_PREFIX, matches=[PREFIX, PREFIX]),
        ("ConflictingFields", "spec.rules[0].matches"),
    ),
    (
        "rewriting a prefix needs a match of type PathPrefix",
        by_filter(REWRITE),
        by_filter(REWRITE, matches=[{"path": {"type": "Exact", "value": "/"}}]),
        ("ConflictingFields", "spec.rules[0].matches"),
    ),
    (
        "redirecting a prefix inside a backendRef needs exactly one prefix match",
        inner(REDIRECT_PREFIX, matches=[PREFIX]),
        inner(REDIRECT_PREFIX, matches=[]),
        ("ConflictingFields", "spec.rules[0].matches"),
    ),
    (
        "rewriting a prefix inside a backendRef needs exactly one prefix match",
        inner(REWRITE),
        inner(REWRITE, matches=[PREFIX, PREFIX]),
        ("ConflictingFields", "spec.rules[0].matches"),
    ),
    (
        "a path to match is absolute",
        path("RegularExpression", "a"),
        path("Exact", "a"),
        ("InvalidValue", f"{PATH}.value"),
    ),
    *[
        (
            f"a path to match does not contain {part}",
            path("Exact", "/a"),
            path("Exact", f"/a{part}b"),
            ("InvalidValue", f"{PATH}.value"),
        )
        for part in ("//", "/./", "/../", "%2f", "%2F", "#")
    ],
    *[
        (
            f"a path to match does not end with {part}",
            path("PathPrefix", f"/a{part}b"),
            path("PathPrefix", f"/a{part}"),
            ("InvalidValue", f"{PATH}.value"),
        )
        for part in ("/.", "/..")
    ],
    (
        "a path to match has characters of paths only",
        path("PathPrefix", "/a%20b"),
        path("PathPrefix", "/a b"),
        ("InvalidValue", f"{PATH}.value"),
    ),
    (
        "a path that is a regular expression may hold anything",
        path("RegularExpression", "//%2f#/.."),
        path("PathPrefix", "/[a-z]+"),
        ("InvalidValue", f"{PATH}.value"),
    ),
    (
        "header conditions of a match have different names",
        match(headers=headers("a", "A")),
        match(headers=headers("a", "b", "a")),
        ("DuplicateName", "spec.rules[0].matches[0].headers[2].name"),
    ),
    (
        "query conditions of a match have different names",
        match(queryParams=headers("a", "b")),
        match(queryParams=headers("a", "a")),
        ("DuplicateName", "spec.rules[0].matches[0].queryParams[1].name"),
    ),
    (
        "a redirect and a rewrite exclude each other",
        by_filter(filtered("RequestHeaderModifier", **SET), REWRITE),
        by_filter(REDIRECT, filtered("URLRewrite", urlRewrite={})),
        ("ConflictingFields", "spec.rules[0].filters[1]"),
    ),
    *[
        (
            f"{entry['type']} comes once in a list of filters",
            by_filter(entry),
            by_filter(entry, entry),
            ("DuplicateName", "spec.rules[0].filters[1]"),
        )
        for entry in (
            filtered("CORS", cors={}),
            filtered("RequestHeaderModifier", **SET),
            filtered("ResponseHeaderModifier", responseHeaderModifier={}),
            REDIRECT,
            filtered("URLRewrite", urlRewrite={}),
        )
    ],
    (
        "mirrors and extensions may come several times",
        by_filter(*[filtered("RequestMirror", requestMirror=MIRROR)] * 3),
        by_filter(*[filtered("CORS", cors={})] * 2),
        ("DuplicateName", "spec.rules[0].filters[1]"),
    ),
    (
        "a filter has no settings of another type",
        by_filter(filtered("RequestHeaderModifier", **SET)),
        by_filter(filtered("RequestHeaderModifier", **SET, cors={})),
        ("ConflictingFields", f"{FILTER}.cors"),
    ),
    *[
        (
            f"a filter of type {kind} has {field}",
            by_filter(filtered(kind, **{field: good})),
            by_filter(filtered(kind)),
            ("MissingField", f"{FILTER}.{field}"),
        )
        for kind, field, good in (
            ("RequestHeaderModifier", "requestHeaderModifier", {}),
            ("ResponseHeaderModifier", "responseHeaderModifier", {}),
            ("RequestMirror", "requestMirror", MIRROR),
            ("RequestRedirect", "requestRedirect", {}),
            ("URLRewrite", "urlRewrite", {}),
            ("CORS", "cors", {}),
            ("ExternalAuth", "externalAuth", {"protocol": "HTTP", "backendRef": WEB, "http": {}}),
            ("ExtensionRef", "extensionRef", {"group": "g", "kind": "K", "name": "n"}),
        )
    ],
    (
        "type ReplaceFullPath has replaceFullPath",
        redirect_path(type="ReplaceFullPath", replaceFullPath=""),
        redirect_path(type="ReplaceFullPath"),
        ("MissingField", f"{FILTER}.requestRedirect.path.replaceFullPath"),
    ),
    (
        "type ReplacePrefixMatch has replacePrefixMatch",
        redirect_path(type="ReplacePrefixMatch", replacePrefixMatch=""),
        redirect_path(type="ReplacePrefixMatch"),
        ("MissingField", f"{FILTER}.requestRedirect.path.replacePrefixMatch"),
    ),
    (
        "replaceFullPath is for type ReplaceFullPath only",
        redirect_path(type="ReplacePrefixMatch", replacePrefixMatch="/"),
        redirect_path(type="ReplacePrefixMatch", replacePrefixMatch="/", replaceFullPath="/"),
        ("ConflictingFields", f"{FILTER}.requestRedirect.path.replaceFullPath"),
    ),
    (
        "replacePrefixMatch is for type ReplacePrefixMatch only",
        redirect_path(type="ReplaceFullPath", replaceFullPath="/"),
        redirect_path(type="ReplaceFullPath", replaceFullPath="/", replacePrefixMatch="/"),
        ("ConflictingFields", f"{FILTER}.requestRedirect.path.replacePrefixMatch"),
    ),
    (
        "a reference to a Service has a port",
        rule(backendRefs=[{"name": "a", "kind": "Backend", "group": "trilithon.dev"}]),
        rule(backendRefs=[{"name": "a"}]),
        ("MissingField", "spec.rules[0].backendRefs[0].port"),
    ),
    (
        "a mirror to a Service has a port",
        mirror(),
        mirror(backendRef={"name": "a"}),
        ("MissingField", f"{FILTER}.requestMirror.backendRef.port"),
    ),
    (
        "a mirror has a percentage or a fraction, not both",
        mirror(percent=10),
        mirror(percent=10, fraction={"numerator": 1}),
        ("ConflictingFields", f"{FILTER}.requestMirror.fraction"),
    ),
    (
        "a fraction is at most one",
        mirror(fraction={"numerator": 100}),
        mirror(fraction={"numerator": 101}),
        ("InvalidValue", f"{FILTER}.requestMirror.fraction.numerator"),
    ),
    *[
        (
            f"a star stands alone in {field}",
            cors(**{field: ["*"]}),
            cors(**{field: [other, "*"]}),
            ("ConflictingFields", f"{FILTER}.cors.{field}[1]"),
        )
        for field, other in (("allowOrigins", "https://a.test"), ("allowMethods", "GET"), ("allowHeaders", "x"))
    ],
    *[
        (
            f"values of {field} differ",
            cors(**{field: [one]}),
            cors(**{field: [one, one]}),
            ("DuplicateName", f"{FILTER}.cors.{field}[1]"),
        )
        for field, one in (
            ("allowOrigins", "https://a.test"),
            ("allowMethods", "GET"),
            ("allowHeaders", "x"),
            ("exposeHeaders", "x"),
        )
    ],
    *[
        (
            f"headers to {field} have different names",
            modifier(**{field: headers("a", "b")}),
            modifier(**{field: headers("a", "a")}),
            ("DuplicateName", f"{FILTER}.responseHeaderModifier.{field}[1].name"),
        )
        for field in ("set", "add")
    ],
    (
        "headers to remove have different names",
        modifier(remove=["a", "A"]),
        modifier(remove=["a", "a"]),
        ("DuplicateName", f"{FILTER}.responseHeaderModifier.remove[1]"),
    ),
    (
        "protocol GRPC has grpc",
        auth(protocol="GRPC", grpc={}),
        auth(protocol="GRPC"),
        ("MissingField", f"{FILTER}.externalAuth.grpc"),
    ),
    (
        "protocol HTTP has http",
        auth(protocol="HTTP", http={}),
        auth(protocol="HTTP"),
        ("MissingField", f"{FILTER}.externalAuth.http"),
    ),
    (
        "grpc is for protocol GRPC only",
        auth(protocol="HTTP", http={"path": "/a"}),
        auth(protocol="HTTP", http={}, grpc={}),
        ("ConflictingFields", f"{FILTER}.externalAuth.grpc"),
    ),
    (
        "http is for protocol HTTP only",
        auth(protocol="GRPC", grpc={"allowedHeaders": ["a"]}),
        auth(protocol="GRPC", grpc={}, http={}),
        ("ConflictingFields", f"{FILTER}.externalAuth.http"),
    ),
    (
        "headers for the authorization server differ (grpc)",
        auth(protocol="GRPC", grpc={"allowedHeaders": ["a", "b"]}),
        auth(protocol="GRPC", grpc={"allowedHeaders": ["a", "a"]}),
        ("DuplicateName", f"{FILTER}.externalAuth.grpc.allowedHeaders[1]"),
    ),
    *[
        (
            f"values of {field} differ (http)",
            auth(protocol="HTTP", http={field: ["a", "b"]}),
            auth(protocol="HTTP", http={field: ["a", "a"]}),
            ("DuplicateName", f"{FILTER}.externalAuth.http.{field}[1]"),
        )
        for field in ("allowedHeaders", "allowedResponseHeaders")
    ],
    (
        "one attempt takes no longer than the whole request",
        rule(timeouts={"request": "1m", "backendRequest": "60s"}),
        rule(timeouts={"request": "1m", "backendRequest": "60s1ms"}),
        ("ConflictingFields", "spec.rules[0].timeouts.backendRequest"),
    ),
    (
        "a request timeout of zero is none, so it bounds no attempt",
        rule(timeouts={"request": "0s", "backendRequest": "1h"}),
        rule(timeouts={"request": "1ms", "backendRequest": "1h"}),
        ("ConflictingFields", "spec.rules[0].timeouts.backendRequest"),
    ),
    (
        "codes to retry differ",
        rule(retry={"codes": [500, 503]}),
        rule(retry={"codes": [500, 503, 500]}),
        ("DuplicateName", "spec.rules[0].retry.codes[2]"),
    ),
    (
        "a permanent cookie has an absolute timeout",
        rule(sessionPersistence={"cookieConfig": {"lifetimeType": "Permanent"}, "absoluteTimeout": "1h"}),
        rule(sessionPersistence={"cookieConfig": {"lifetimeType": "Permanent"}}),
        ("MissingField", "spec.rules[0].sessionPersistence.absoluteTimeout"),
    ),
    (
        "only cookies are configured as cookies",
        rule(sessionPersistence={"type": "Cookie", "cookieConfig": {}}),
        rule(sessionPersistence={"type": "Header", "cookieConfig": {}}),
        ("ConflictingFields", "spec.rules[0].sessionPersistence.cookieConfig"),
    ),
]


@pytest.mark.parametrize(("good", "bad", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_rule(good: dict[str, Any], bad: dict[str, Any], expected: tuple[str, str]) -> None:
    assert errors(good) == []
    assert errors(bad) == [expected]


def test_rules_of_filters_hold_inside_backend_refs_too() -> None:
    filters = [filtered("CORS", cors={}), filtered("CORS"), filtered("RequestRedirect", requestRedirect={}), REWRITE]
    refused = inner(*filters, matches=[PREFIX])
    where = "spec.rules[0].backendRefs[0].filters"
    assert errors(refused) == [
        ("ConflictingFields", f"{where}[3]"),
        ("DuplicateName", f"{where}[1]"),
        ("MissingField", f"{where}[1].cors"),
    ]


def test_two_backends_that_replace_a_prefix_are_taken_as_the_api_server_takes_them() -> None:
    # The CRD asks whether exactly one backendRef does so.
    twice = rule(backendRefs=[{**WEB, "filters": [REWRITE]}] * 2, matches=[])
    assert errors(twice) == []


def test_an_escaped_slash_and_a_space_are_two_mistakes_of_one_path() -> None:
    assert len(errors(path("Exact", "/a%2f b"))) == 2
