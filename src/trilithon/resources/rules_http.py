"""The rules of HTTPRoute that span several fields, but for those of its filters and backend references.

Each docstring carries the message that the CRD of v1.6.1 (experimental channel) has for the rule; {words} in
braces stand for several of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from trilithon.resources.duration import parse_duration
from trilithon.resources.meta import ParentReference
from trilithon.resources.routes import (
    HTTPPathMatch,
    HTTPRouteFilter,
    HTTPRouteMatch,
    HTTPRouteRetry,
    HTTPRouteRule,
    HTTPRouteSpec,
    HTTPRouteTimeouts,
    SessionPersistence,
)
from trilithon.resources.rule import Rule, Unique, UniqueBy, repeated
from trilithon.resources.wording import Finding, quoted

# All rules of a route together; 16 rules of 64 matches would be 1024.
MAX_MATCHES = 128

_PATH_CHARACTERS = re.compile(r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+")
_PATH_TRICKS = ("//", "/./", "/../", "%2f", "%2F", "#")


# --- Parents and the route as a whole ---------------------------------------------------------------------------------
def _parent(ref: ParentReference) -> tuple[str, str, str, str | None]:
    return ref.group, ref.kind, ref.name, ref.namespace


def refs_to_one_parent_name_the_same_parts(refs: tuple[ParentReference, ...]) -> Sequence[Finding]:
    """sectionName or port must be specified when parentRefs includes 2 or more references to the same parent"""
    if len(refs) < 2:
        return ()
    parts: dict[object, tuple[bool, bool]] = {}
    found = []
    for index, ref in enumerate(refs):
        named = (ref.section_name is not None, ref.port is not None)
        if parts.setdefault(_parent(ref), named) != named:
            message = f"{ref.kind} {quoted(ref.name)} is a parent more than once, and only some of the references name "
            hint = "give all of them a sectionName, or all a port, or all both"
            found.append(Finding("ConflictingFields", f"[{index}]", f"{message}a sectionName or port", hint))
    return found


def refs_to_one_parent_differ(refs: tuple[ParentReference, ...]) -> Sequence[Finding]:
    """sectionName or port must be unique when parentRefs includes 2 or more references to the same parent"""
    if len(refs) < 2:
        return ()
    first: dict[object, int] = {}
    found = []
    for index, ref in enumerate(refs):
        earlier = first.setdefault((_parent(ref), ref.section_name, ref.port), index)
        if earlier != index:
            message = f"{ref.kind} {quoted(ref.name)} is already the parent of entry [{earlier}], with the same"
            found.append(Finding("DuplicateName", f"[{index}]", f"{message} sectionName and port"))
    return found


def matches_are_few_in_total(rules: tuple[HTTPRouteRule, ...]) -> Sequence[Finding]:
    """While 16 rules and 64 matches per rule are allowed, the total number of matches across all rules in a
    route must be less than 128
    """
    total = sum(len(rule.matches) for rule in rules)
    if total <= MAX_MATCHES:
        return ()
    message = f"the rules have {total} matches together, and {MAX_MATCHES} are allowed"
    return (Finding("TooMany", "", message, f"split it into {-(-total // MAX_MATCHES)} routes"),)


def rule_names_differ(rules: tuple[HTTPRouteRule, ...]) -> Sequence[Finding]:
    """Rule name must be unique within the route"""
    if len(rules) < 2:
        return ()
    # A rule without a name gets a key of its own.
    return repeated((rule.name or index for index, rule in enumerate(rules)), "rule name", ".name")


# --- Rules ------------------------------------------------------------------------------------------------------------
def redirecting_rules_have_no_backends(rule: HTTPRouteRule) -> Sequence[Finding]:
    """RequestRedirect filter must not be used together with backendRefs"""
    if not rule.backend_refs:
        return ()
    message = "a rule with backendRefs cannot redirect as well"
    return [
        Finding("ConflictingFields", f".filters[{index}].requestRedirect", message, "remove one of the two")
        for index, entry in enumerate(rule.filters)
        if entry.request_redirect is not None
    ]


def _replaces_prefix(filters: Iterable[HTTPRouteFilter], attribute: str) -> bool:
    """Whether exactly one filter replaces the prefix in its settings of this name: the rules ask for "exists_one"."""
    count = 0
    for entry in filters:
        settings = getattr(entry, attribute)
        path = settings.path if settings is not None else None
        if path is not None and path.type == "ReplacePrefixMatch" and path.replace_prefix_match is not None:
            count += 1
    return count == 1


def _has_one_prefix(rule: HTTPRouteRule) -> bool:
    return len(rule.matches) == 1 and rule.matches[0].path.type == "PathPrefix"


def _prefix_needed(where: str, field: str) -> Sequence[Finding]:
    message = f"{where}{field} replaces the matched prefix, so the rule needs exactly one match, of type PathPrefix"
    return (Finding("ConflictingFields", ".matches", message, "put further matches into rules of their own"),)


def redirected_prefix_is_known(rule: HTTPRouteRule) -> Sequence[Finding]:
    """When using RequestRedirect filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified"""
    if not rule.filters or _has_one_prefix(rule) or not _replaces_prefix(rule.filters, "request_redirect"):
        return ()
    return _prefix_needed("", "requestRedirect")


def rewritten_prefix_is_known(rule: HTTPRouteRule) -> Sequence[Finding]:
    """When using URLRewrite filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified"""
    if not rule.filters or _has_one_prefix(rule) or not _replaces_prefix(rule.filters, "url_rewrite"):
        return ()
    return _prefix_needed("", "urlRewrite")


def _one_backend_replaces_prefix(rule: HTTPRouteRule, attribute: str) -> bool:
    """Again "exists_one": the CRD says nothing where two backendRefs do it."""
    return sum(_replaces_prefix(ref.filters, attribute) for ref in rule.backend_refs if ref.filters) == 1


def prefix_redirected_in_a_backend_is_known(rule: HTTPRouteRule) -> Sequence[Finding]:
    """Within backendRefs, when using RequestRedirect filter with path.replacePrefixMatch, exactly one
    PathPrefix match must be specified
    """
    if _has_one_prefix(rule) or not _one_backend_replaces_prefix(rule, "request_redirect"):
        return ()
    return _prefix_needed("inside backendRefs, ", "requestRedirect")


def prefix_rewritten_in_a_backend_is_known(rule: HTTPRouteRule) -> Sequence[Finding]:
    """Within backendRefs, When using URLRewrite filter with path.replacePrefixMatch, exactly one PathPrefix
    match must be specified
    """
    if _has_one_prefix(rule) or not _one_backend_replaces_prefix(rule, "url_rewrite"):
        return ()
    return _prefix_needed("inside backendRefs, ", "urlRewrite")


# --- Matches ----------------------------------------------------------------------------------------------------------
def path_is_absolute(path: HTTPPathMatch) -> Sequence[Finding]:
    """value must be an absolute path and start with '/' when type one of ['Exact', 'PathPrefix']"""
    if path.type == "RegularExpression" or path.value.startswith("/"):
        return ()
    message = f"{quoted(path.value)} is not an absolute path"
    return (Finding("InvalidValue", ".value", message, 'begin it with "/", or use type RegularExpression'),)


def path_has_no_tricks(path: HTTPPathMatch) -> Sequence[Finding]:
    """must not contain '{part}' when type one of ['Exact', 'PathPrefix']"""
    if path.type == "RegularExpression":
        return ()
    return [_never_matches(path.value, f"contains {part}") for part in _PATH_TRICKS if part in path.value]


def path_ends_in_no_dots(path: HTTPPathMatch) -> Sequence[Finding]:
    """must not end with '{part}' when type one of ['Exact', 'PathPrefix']"""
    if path.type == "RegularExpression" or not path.value.endswith(("/.", "/..")):
        return ()
    return (_never_matches(path.value, f"ends with {path.value[path.value.rindex('/') :]}"),)


def _never_matches(value: str, why: str) -> Finding:
    return Finding("InvalidValue", ".value", f"{quoted(value)} {why}, which no path that is matched against has")


def path_has_path_characters(path: HTTPPathMatch) -> Sequence[Finding]:
    """must only contain valid characters (matching {pattern}) for types ['Exact', 'PathPrefix']"""
    # "#" has a rule, and so a message, of its own; an empty path is not absolute.
    if path.type == "RegularExpression" or not path.value:
        return ()
    rest = path.value.replace("#", "") if "#" in path.value else path.value
    if not rest or _PATH_CHARACTERS.fullmatch(rest):
        return ()
    message = f"{quoted(path.value)} is not a path: letters, digits, /-._~!$&'()*+,;=:@ and percent escapes such as %20"
    return (Finding("InvalidValue", ".value", message),)


# --- Times ------------------------------------------------------------------------------------------------------------
def one_attempt_fits_the_whole(timeouts: HTTPRouteTimeouts) -> Sequence[Finding]:
    """backendRequest timeout cannot be longer than request timeout"""
    if timeouts.request is None or timeouts.backend_request is None:
        return ()
    whole = parse_duration(timeouts.request)
    if whole == 0 or parse_duration(timeouts.backend_request) <= whole:
        return ()
    message = f"{timeouts.backend_request} for one attempt is longer than {timeouts.request} for the whole request"
    return (Finding("ConflictingFields", ".backendRequest", message),)


def permanent_cookies_end(session: SessionPersistence) -> Sequence[Finding]:
    """AbsoluteTimeout must be specified when cookie lifetimeType is Permanent"""
    cookie = session.cookie_config
    if cookie is None or cookie.lifetime_type != "Permanent" or session.absolute_timeout is not None:
        return ()
    return (Finding("MissingField", ".absoluteTimeout", "a cookie of lifetimeType Permanent needs absoluteTimeout"),)


def only_cookies_have_cookie_config(session: SessionPersistence) -> Sequence[Finding]:
    """cookieConfig can only be set with type Cookie"""
    if session.cookie_config is None or session.type == "Cookie":
        return ()
    return (Finding("ConflictingFields", ".cookieConfig", f"type {session.type} cannot have cookieConfig"),)


PART_RULES: Mapping[type[Struct], tuple[Rule, ...]] = {
    HTTPRouteRule: (
        redirecting_rules_have_no_backends,
        redirected_prefix_is_known,
        rewritten_prefix_is_known,
        prefix_redirected_in_a_backend_is_known,
        prefix_rewritten_in_a_backend_is_known,
    ),
    HTTPPathMatch: (path_is_absolute, path_has_no_tricks, path_ends_in_no_dots, path_has_path_characters),
    HTTPRouteTimeouts: (one_attempt_fits_the_whole,),
    SessionPersistence: (permanent_cookies_end, only_cookies_have_cookie_config),
}
FIELD_RULES: Mapping[tuple[type[Struct], str], tuple[Rule, ...]] = {
    (HTTPRouteSpec, "parentRefs"): (refs_to_one_parent_name_the_same_parts, refs_to_one_parent_differ),
    (HTTPRouteSpec, "rules"): (matches_are_few_in_total, rule_names_differ),
    (HTTPRouteMatch, "headers"): (UniqueBy("name", "name", "header name"),),
    (HTTPRouteMatch, "queryParams"): (UniqueBy("name", "name", "query parameter"),),
    (HTTPRouteRetry, "codes"): (Unique("code"),),
}
