"""The rules of HTTPRoute's filters and backend references that span several fields.

Each docstring carries the message that the CRD of v1.6.1 (experimental channel) has for the rule; {words} in
braces stand for several of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from trilithon.resources.meta import BackendObjectReference
from trilithon.resources.routes import (
    Fraction,
    GRPCAuthConfig,
    HTTPAuthConfig,
    HTTPBackendRef,
    HTTPCORSFilter,
    HTTPExternalAuthFilter,
    HTTPHeaderFilter,
    HTTPPathModifier,
    HTTPRequestMirrorFilter,
    HTTPRouteFilter,
    HTTPRouteRule,
)
from trilithon.resources.rule import Rule, Unique, UniqueBy
from trilithon.resources.wording import Finding, quoted

# Filter type -> (attribute, field as written) of its settings.
_SETTINGS = {
    "RequestHeaderModifier": ("request_header_modifier", "requestHeaderModifier"),
    "ResponseHeaderModifier": ("response_header_modifier", "responseHeaderModifier"),
    "RequestMirror": ("request_mirror", "requestMirror"),
    "RequestRedirect": ("request_redirect", "requestRedirect"),
    "URLRewrite": ("url_rewrite", "urlRewrite"),
    "ExtensionRef": ("extension_ref", "extensionRef"),
    "CORS": ("cors", "cors"),
    "ExternalAuth": ("external_auth", "externalAuth"),
}
_ONCE = frozenset({"CORS", "RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite"})


def filters_do_not_redirect_and_rewrite(filters: tuple[HTTPRouteFilter, ...]) -> Sequence[Finding]:
    """May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both"""
    if len(filters) < 2:
        return ()
    types = [entry.type for entry in filters]
    if "RequestRedirect" not in types or "URLRewrite" not in types:
        return ()
    message = "a URLRewrite filter cannot stand beside a RequestRedirect filter: a redirected request goes nowhere else"
    return (Finding("ConflictingFields", f"[{types.index('URLRewrite')}]", message, "remove one of the two"),)


def filters_are_not_repeated(filters: tuple[HTTPRouteFilter, ...]) -> Sequence[Finding]:
    """{type} filter cannot be repeated"""
    if len(filters) < 2:
        return ()
    seen: set[str] = set()
    found = []
    for index, entry in enumerate(filters):
        if entry.type in seen:
            message = f"a second {entry.type} filter; there can be one"
            found.append(Finding("DuplicateName", f"[{index}]", message))
        if entry.type in _ONCE:
            seen.add(entry.type)
    return found


def filter_has_no_other_settings(entry: HTTPRouteFilter) -> Sequence[Finding]:
    """filter.{field} must be nil if the filter.type is not {type}"""
    return [
        Finding("ConflictingFields", f".{field}", f"a filter of type {entry.type} cannot have {field}")
        for name, (attribute, field) in _SETTINGS.items()
        if name != entry.type and getattr(entry, attribute) is not None
    ]


def filter_has_its_settings(entry: HTTPRouteFilter) -> Sequence[Finding]:
    """filter.{field} must be specified for {type} filter.type"""
    attribute, field = _SETTINGS[entry.type]
    if getattr(entry, attribute) is not None:
        return ()
    return (Finding("MissingField", f".{field}", f"a filter of type {entry.type} needs {field}"),)


def path_modifier_has_its_value(path: HTTPPathModifier) -> Sequence[Finding]:
    """replaceFullPath must be specified when type is set to 'ReplaceFullPath'.
    replacePrefixMatch must be specified when type is set to 'ReplacePrefixMatch'
    """
    if path.type == "ReplaceFullPath" and path.replace_full_path is None:
        return (Finding("MissingField", ".replaceFullPath", "type ReplaceFullPath needs replaceFullPath"),)
    if path.type == "ReplacePrefixMatch" and path.replace_prefix_match is None:
        return (Finding("MissingField", ".replacePrefixMatch", "type ReplacePrefixMatch needs replacePrefixMatch"),)
    return ()


def path_modifier_has_no_other_value(path: HTTPPathModifier) -> Sequence[Finding]:
    """type must be 'ReplaceFullPath' when replaceFullPath is set.
    type must be 'ReplacePrefixMatch' when replacePrefixMatch is set
    """
    if path.type != "ReplaceFullPath" and path.replace_full_path is not None:
        return (Finding("ConflictingFields", ".replaceFullPath", f"type {path.type} cannot have replaceFullPath"),)
    if path.type != "ReplacePrefixMatch" and path.replace_prefix_match is not None:
        message = f"type {path.type} cannot have replacePrefixMatch"
        return (Finding("ConflictingFields", ".replacePrefixMatch", message),)
    return ()


def service_has_a_port(ref: HTTPBackendRef | BackendObjectReference) -> Sequence[Finding]:
    """Must have port for Service reference"""
    if ref.group or ref.kind != "Service" or ref.port is not None:
        return ()
    return (Finding("MissingField", ".port", f"the reference to Service {quoted(ref.name)} needs a port"),)


def mirror_has_one_share(mirror: HTTPRequestMirrorFilter) -> Sequence[Finding]:
    """Only one of percent or fraction may be specified in HTTPRequestMirrorFilter"""
    if mirror.percent is None or mirror.fraction is None:
        return ()
    return (Finding("ConflictingFields", ".fraction", "percent and fraction say the same; give one of them"),)


def fraction_is_at_most_one(fraction: Fraction) -> Sequence[Finding]:
    """numerator must be less than or equal to denominator"""
    if fraction.numerator <= fraction.denominator:
        return ()
    message = f"{fraction.numerator} of {fraction.denominator} is more than all"
    return (Finding("InvalidValue", ".numerator", message),)


def star_stands_alone(values: tuple[str, ...]) -> Sequence[Finding]:
    """{AllowMethods} cannot contain '*' alongside other {methods}"""
    if len(values) < 2 or "*" not in values:
        return ()
    message = '"*" means all of them, so nothing can stand beside it'
    return (Finding("ConflictingFields", f"[{values.index('*')}]", message),)


def auth_has_its_protocol(auth: HTTPExternalAuthFilter) -> Sequence[Finding]:
    """grpc must be specified when protocol is set to 'GRPC'. http must be specified when protocol is set to 'HTTP'"""
    if auth.protocol == "GRPC" and auth.grpc is None:
        return (Finding("MissingField", ".grpc", "protocol GRPC needs grpc"),)
    if auth.protocol == "HTTP" and auth.http is None:
        return (Finding("MissingField", ".http", "protocol HTTP needs http"),)
    return ()


def auth_has_no_other_protocol(auth: HTTPExternalAuthFilter) -> Sequence[Finding]:
    """protocol must be 'GRPC' when grpc is set. protocol must be 'HTTP' when http is set"""
    if auth.protocol != "GRPC" and auth.grpc is not None:
        return (Finding("ConflictingFields", ".grpc", f"protocol {auth.protocol} cannot have grpc"),)
    if auth.protocol != "HTTP" and auth.http is not None:
        return (Finding("ConflictingFields", ".http", f"protocol {auth.protocol} cannot have http"),)
    return ()


_FILTERS: tuple[Rule, ...] = (filters_do_not_redirect_and_rewrite, filters_are_not_repeated)

PART_RULES: Mapping[type[Struct], tuple[Rule, ...]] = {
    HTTPRouteFilter: (filter_has_no_other_settings, filter_has_its_settings),
    HTTPPathModifier: (path_modifier_has_its_value, path_modifier_has_no_other_value),
    HTTPBackendRef: (service_has_a_port,),
    BackendObjectReference: (service_has_a_port,),
    HTTPRequestMirrorFilter: (mirror_has_one_share,),
    Fraction: (fraction_is_at_most_one,),
    HTTPExternalAuthFilter: (auth_has_its_protocol, auth_has_no_other_protocol),
}
_HEADERS_DIFFER = UniqueBy("name", "name", "header name")
FIELD_RULES: Mapping[tuple[type[Struct], str], tuple[Rule, ...]] = {
    (HTTPRouteRule, "filters"): _FILTERS,
    (HTTPBackendRef, "filters"): _FILTERS,
    (HTTPHeaderFilter, "set"): (_HEADERS_DIFFER,),
    (HTTPHeaderFilter, "add"): (_HEADERS_DIFFER,),
    (HTTPHeaderFilter, "remove"): (Unique("header name"),),
    (HTTPCORSFilter, "allowOrigins"): (Unique("origin"), star_stands_alone),
    (HTTPCORSFilter, "allowMethods"): (Unique("method"), star_stands_alone),
    (HTTPCORSFilter, "allowHeaders"): (Unique("header name"), star_stands_alone),
    (HTTPCORSFilter, "exposeHeaders"): (Unique("header name"),),
    (GRPCAuthConfig, "allowedHeaders"): (Unique("header name"),),
    (HTTPAuthConfig, "allowedHeaders"): (Unique("header name"),),
    (HTTPAuthConfig, "allowedResponseHeaders"): (Unique("header name"),),
}
