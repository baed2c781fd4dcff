"""Filters of rules and of backend references (HTTPRouteFilter)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.world import World, codes, http_route, service
from trilithon.model.backend import Backend
from trilithon.model.rule import (
    Cors,
    Filters,
    Forward,
    HeaderEdit,
    Mirror,
    PathEdit,
    Redirect,
    Refuse,
    Rewrite,
    Rule,
)
from trilithon.resources.meta import Key

WEB = {"name": "web", "port": 80}
MISSING = {"name": "missing", "port": 80}
SERVICE = Backend(Key("Service", "shop", "web"), 80)


def request_headers(**edit: Any) -> dict[str, Any]:
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": edit}


def response_headers(**edit: Any) -> dict[str, Any]:
    return {"type": "ResponseHeaderModifier", "responseHeaderModifier": edit}


def redirect(**settings: Any) -> dict[str, Any]:
    return {"type": "RequestRedirect", "requestRedirect": settings}


def rewrite(**settings: Any) -> dict[str, Any]:
    return {"type": "URLRewrite", "urlRewrite": settings}


def mirror(ref: dict[str, Any] | None = None, **share: Any) -> dict[str, Any]:
    return {"type": "RequestMirror", "requestMirror": {"backendRef": ref or WEB, **share}}


def cors(**settings: Any) -> dict[str, Any]:
    return {"type": "CORS", "cors": settings}


EXTENSION = {"type": "ExtensionRef", "extensionRef": {"group": "example.com", "kind": "Waf", "name": "w"}}
AUTH = {"type": "ExternalAuth", "externalAuth": {"protocol": "GRPC", "backendRef": WEB}}


def full(value: str) -> dict[str, str]:
    return {"type": "ReplaceFullPath", "replaceFullPath": value}


def prefix(value: str) -> dict[str, str]:
    return {"type": "ReplacePrefixMatch", "replacePrefixMatch": value}


def rule_with(*filters: dict[str, Any], **rule: Any) -> Rule:
    """A rule with these filters and, unless it says otherwise or redirects, one sound backend."""
    redirects = any(item["type"] == "RequestRedirect" for item in filters)
    given = {"filters": list(filters), "backendRefs": [] if redirects else [WEB], **rule}
    return World(service("shop/web", 80), http_route(rules=[given])).rule()


def refused(rule: Rule) -> list[tuple[str, str]]:
    """Code and path of the rule's problems; the first answers every request with 500."""
    assert rule.action == Refuse(500, rule.problems[0])
    return [(problem.code, problem.path) for problem in rule.problems]


# --- Header modifiers -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param(
            {
                "set": [{"name": "X-A", "value": "1"}],
                "add": [{"name": "x-b", "value": "2, 3"}],
                "remove": ["X-C", "x-d"],
            },
            HeaderEdit((("x-a", "1"),), (("x-b", "2, 3"),), ("x-c", "x-d")),
            id="set, add and remove; names are case-insensitive",
        ),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_header_modifiers(written: dict[str, Any], expected: HeaderEdit | None) -> None:
    rule = rule_with(request_headers(**written), response_headers(**written))
    assert (rule.filters.request_headers, rule.filters.response_headers) == (expected, expected)
    assert rule.problems == ()


def test_only_the_first_action_for_a_header_counts() -> None:
    rule = rule_with(
        request_headers(
            set=[{"name": "x-a", "value": "1"}, {"name": "X-A", "value": "2"}],
            add=[{"name": "x-a", "value": "3"}, {"name": "x-b", "value": "4"}],
            remove=["x-b"],
        )
    )
    assert rule.filters.request_headers == HeaderEdit(set=(("x-a", "1"),), add=(("x-b", "4"),))
    assert codes(rule.problems) == ["HeaderActionRepeated"] * 3
    assert isinstance(rule.action, Forward)


VALUE = {"value": "1"}


@pytest.mark.parametrize(
    ("filters", "code", "path"),
    [
        pytest.param(
            request_headers(set=[{"name": "Host", **VALUE}]), "HostHeaderModified",
            "requestHeaderModifier.set[0]", id="Host is set by URLRewrite",
        ),
        pytest.param(
            request_headers(add=[{"name": "x-a", **VALUE}, {"name": "host", **VALUE}]), "HostHeaderModified",
            "requestHeaderModifier.add[1]", id="Host cannot be added",
        ),
        pytest.param(
            request_headers(remove=["host"]), "HostHeaderModified", "requestHeaderModifier.remove[0]",
            id="Host cannot be removed",
        ),
        pytest.param(
            request_headers(remove=[":path"]), "HeaderImpossible", "requestHeaderModifier.remove[0]",
            id="a pseudo header is no header",
        ),
        pytest.param(
            response_headers(remove=[""]), "HeaderImpossible", "responseHeaderModifier.remove[0]",
            id="an empty name is no header",
        ),
        pytest.param(
            response_headers(remove=["a b"]), "HeaderImpossible", "responseHeaderModifier.remove[0]",
            id="a name with a space is no header",
        ),
        pytest.param(
            request_headers(set=[{"name": "Connection", **VALUE}]), "HeaderImpossible",
            "requestHeaderModifier.set[0]", id="headers of the connection are Envoy's",
        ),
        pytest.param(
            response_headers(set=[{"name": "content-length", **VALUE}]), "HeaderImpossible",
            "responseHeaderModifier.set[0]", id="headers that frame the message are Envoy's",
        ),
    ],
)  # fmt: skip
def test_headers_that_cannot_be_modified_drop_the_rule(filters: dict[str, Any], code: str, path: str) -> None:
    assert refused(rule_with(filters)) == [(code, f"spec.rules[0].filters[0].{path}")]


# --- Redirect and rewrite ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param({}, Redirect(302), id="302 is the default"),
        *(pytest.param({"statusCode": code}, Redirect(code), id=f"{code}") for code in (301, 302, 303, 307, 308)),
        pytest.param(
            {"scheme": "https", "hostname": "a.test", "port": 8443}, Redirect(302, "https", "a.test", 8443),
            id="scheme, hostname and port",
        ),
        pytest.param({"path": full("/x")}, Redirect(302, path=PathEdit("full", "/x")), id="ReplaceFullPath"),
        pytest.param({"path": prefix("/x/")}, Redirect(302, path=PathEdit("prefix", "/x/")), id="ReplacePrefixMatch"),
        pytest.param({"path": full("x")}, Redirect(302, path=PathEdit("full", "/x")),
                     id="a path gets the slash that keeps it apart from the hostname"),
    ],
)  # fmt: skip
def test_redirect(written: dict[str, Any], expected: Redirect) -> None:
    rule = rule_with(redirect(**written))
    assert (rule.action, rule.problems) == (expected, ())


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param({"hostname": "a.test"}, Rewrite("a.test"), id="hostname"),
        pytest.param({"path": full("/x?y=z")}, Rewrite(path=PathEdit("full", "/x?y=z")), id="ReplaceFullPath"),
        pytest.param({"path": full("")}, Rewrite(path=PathEdit("full", "/")), id="an empty path is /"),
        pytest.param({"path": prefix("/x")}, Rewrite(path=PathEdit("prefix", "/x")), id="ReplacePrefixMatch"),
        pytest.param({"path": prefix("")}, Rewrite(path=PathEdit("prefix", "")), id="an empty prefix removes it"),
        pytest.param({"path": prefix("x")}, Rewrite(path=PathEdit("prefix", "/x")), id="a prefix starts with a slash"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_rewrite(written: dict[str, Any], expected: Rewrite | None) -> None:
    rule = rule_with(rewrite(**written), matches=[{"path": {"value": "/p"}}])
    assert (rule.filters.rewrite, rule.problems) == (expected, ())
    assert isinstance(rule.action, Forward)


@pytest.mark.parametrize("value", ["/a\r\nX: 1", "/a\x00", "/a b", "/é", "/a#b", "/100%"])
@pytest.mark.parametrize("how", ["replaceFullPath", "replacePrefixMatch"])
def test_a_replacement_that_is_no_path_drops_the_rule(value: str, how: str) -> None:
    path = full(value) if how == "replaceFullPath" else prefix(value)
    for field, written in (("urlRewrite", rewrite(path=path)), ("requestRedirect", redirect(path=path))):
        expected = [("RuleValueUnsupported", f"spec.rules[0].filters[0].{field}.path.{how}")]
        assert refused(rule_with(written)) == expected


@pytest.mark.parametrize("kind", ["Exact", "RegularExpression"])
def test_replace_prefix_match_needs_a_prefix(kind: str) -> None:
    matches = [{"path": {"type": kind, "value": "/p"}}]
    assert refused(rule_with(rewrite(path=prefix("/x")), matches=matches)) == [
        ("RuleValueUnsupported", "spec.rules[0].filters")
    ]


@pytest.mark.parametrize(
    "others",
    [pytest.param([rewrite(hostname="a.test")], id="URLRewrite"), pytest.param([mirror()], id="RequestMirror")],
)
def test_what_a_redirect_cannot_be_combined_with(others: list[dict[str, Any]]) -> None:
    assert refused(rule_with(redirect(), *others)) == [("FiltersIncompatible", "spec.rules[0].filters")]


# --- Mirror and CORS --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("share", "mirrors"),
    [
        pytest.param({}, (Mirror(SERVICE, 100, 100),), id="neither percent nor fraction: every request"),
        pytest.param({"percent": 42}, (Mirror(SERVICE, 42, 100),), id="percent"),
        pytest.param({"percent": 0}, (), id="percent 0 is off"),
        pytest.param({"fraction": {"numerator": 1}}, (Mirror(SERVICE, 1, 100),), id="a denominator of 100 by default"),
        pytest.param({"fraction": {"numerator": 1, "denominator": 3}}, (Mirror(SERVICE, 1, 3),), id="fraction"),
        pytest.param({"fraction": {"numerator": 0, "denominator": 3}}, (), id="fraction 0 is off"),
    ],
)
def test_mirror(share: dict[str, Any], mirrors: tuple[Mirror, ...]) -> None:
    rule = rule_with(mirror(**share))
    assert (rule.filters.mirrors, rule.problems) == (mirrors, ())


def test_several_mirrors() -> None:
    mirrors = rule_with(mirror(percent=10), mirror(percent=20)).filters.mirrors
    assert [item.numerator for item in mirrors] == [10, 20]


@pytest.mark.parametrize("share", [{}, {"percent": 0}])
def test_a_bad_mirror_is_dropped_and_the_traffic_goes_on(share: dict[str, Any]) -> None:
    rule = rule_with(mirror(MISSING, **share), mirror())
    assert rule.filters.mirrors == (Mirror(SERVICE),)
    (problem,) = rule.problems
    assert (problem.code, problem.path) == ("BackendNotFound", "spec.rules[0].filters[0].requestMirror.backendRef")
    assert isinstance(rule.action, Forward)


def test_cors() -> None:
    rule = rule_with(
        cors(
            allowOrigins=["https://*.a.test"],
            allowMethods=["GET"],
            allowHeaders=["X-A"],
            exposeHeaders=["X-B"],
            allowCredentials=True,
        )
    )
    assert rule.filters.cors == Cors(("https://*.a.test",), ("GET",), ("X-A",), ("X-B",), True, 5)


def test_cors_is_without_credentials_unless_asked_for() -> None:
    filters = rule_with(cors(allowOrigins=["*"], maxAge=60)).filters
    assert filters.cors == Cors(("*",), (), (), (), False, 60)


# --- Filters that are refused -----------------------------------------------------------------------------------------
def test_an_extension_of_unknown_kind_is_never_skipped() -> None:
    rule = rule_with(EXTENSION)
    assert refused(rule) == [("ExtensionKindUnknown", "spec.rules[0].filters[0].extensionRef")]


def test_external_auth_is_never_skipped() -> None:
    assert refused(rule_with(AUTH)) == [("ExternalAuthUnsupported", "spec.rules[0].filters[0]")]


# --- Filters of backend references ------------------------------------------------------------------------------------
def test_headers_are_modified_per_backend() -> None:
    filters = [request_headers(set=[{"name": "x-a", "value": "1"}]), response_headers(remove=["x-b"])]
    rule = rule_with(backendRefs=[{**WEB, "filters": filters}, WEB])
    assert isinstance(rule.action, Forward)
    own = Filters(request_headers=HeaderEdit(set=(("x-a", "1"),)), response_headers=HeaderEdit(remove=("x-b",)))
    assert [share.filters for share in rule.action.shares] == [own, Filters()]


@pytest.mark.parametrize(
    ("written", "code", "field"),
    [
        pytest.param(redirect(), "FilterInBackendRef", "", id="RequestRedirect"),
        pytest.param(rewrite(hostname="a.test"), "FilterInBackendRef", "", id="URLRewrite"),
        pytest.param(mirror(), "FilterInBackendRef", "", id="RequestMirror"),
        pytest.param(AUTH, "ExternalAuthUnsupported", "", id="ExternalAuth"),
        pytest.param(EXTENSION, "ExtensionKindUnknown", ".extensionRef", id="ExtensionRef"),
        pytest.param(
            request_headers(remove=["host"]), "HostHeaderModified", ".requestHeaderModifier.remove[0]", id="Host"
        ),
    ],
)
def test_what_cannot_be_done_for_one_of_several_backends_drops_the_rule(
    written: dict[str, Any], code: str, field: str
) -> None:
    rule = rule_with(backendRefs=[WEB, {**WEB, "filters": [written]}])
    assert refused(rule) == [(code, f"spec.rules[0].backendRefs[1].filters[0]{field}")]


def test_cors_is_per_backend() -> None:
    rule = rule_with(backendRefs=[{**WEB, "filters": [cors(allowOrigins=["*"])]}, WEB])
    assert isinstance(rule.action, Forward)
    assert rule.filters.cors is None
    assert [share.filters.cors for share in rule.action.shares] == [Cors(("*",), (), (), (), False, 5), None]


def test_cors_of_the_only_backend_is_that_of_the_rule() -> None:
    rule = rule_with(backendRefs=[{**WEB, "filters": [cors(allowOrigins=["*"])]}])
    assert rule.filters.cors == Cors(("*",), (), (), (), False, 5)


def test_a_mirror_of_the_only_backend_mirrors_the_rule() -> None:
    rule = rule_with(mirror(percent=1), backendRefs=[{**WEB, "filters": [mirror(percent=2)]}])
    assert [item.numerator for item in rule.filters.mirrors] == [1, 2]
    assert rule.problems == ()
