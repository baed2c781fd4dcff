"""Which names the API server takes for objects, labels and data keys; each function says what is wrong, or ""."""

from __future__ import annotations

import re

from trilithon.resources.wording import quoted

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+")


def is_domain(text: str) -> bool:
    """Whether the text is a DNS name in lower case (RFC 1123)."""
    return len(text) <= 253 and _SUBDOMAIN.fullmatch(text) is not None


def is_dns_label(text: str) -> bool:
    """Whether the text is one part of a DNS name in lower case (RFC 1123)."""
    return len(text) <= 63 and _LABEL.fullmatch(text) is not None


def subdomain_problem(name: str) -> str:
    """The name of most objects."""
    if is_domain(name):
        return ""
    return f"{quoted(name)} is not an object name: at most 253 lower-case letters, digits, inner dashes and dots"


def label_problem(name: str) -> str:
    """The name of a namespace."""
    if is_dns_label(name):
        return ""
    return f"{quoted(name)} is not a namespace name: at most 63 lower-case letters, digits and inner dashes"


def service_name_problem(name: str) -> str:
    """The name of a Service: older API servers want a letter at its beginning, newer ones do not."""
    if is_dns_label(name):
        return ""
    return f"{quoted(name)} is not a Service name: at most 63 lower-case letters, digits and inner dashes"


def kind_problem(name: str) -> str:
    """The name of a kind."""
    if len(name) <= 63 and _KIND.fullmatch(name):
        return ""
    return f"{quoted(name)} is not a kind: at most 63 letters and digits, the first a letter"


def qualified_name_problem(name: str) -> str:
    """The key of a label or an annotation: a name of up to 63 characters after an optional domain and a slash."""
    domain, slash, rest = name.rpartition("/")
    if len(rest) <= 63 and _QUALIFIED.fullmatch(rest) and (is_domain(domain) if slash else True):
        return ""
    return f"{quoted(name)} is not a key: at most 63 letters, digits and inner - _ . after an optional domain and /"


def label_value_problem(value: str) -> str:
    """The value of a label."""
    if not value or (len(value) <= 63 and _QUALIFIED.fullmatch(value)):
        return ""
    return f"{quoted(value)} is not a label value: at most 63 letters, digits and inner - _ ."


def data_key_problem(name: str) -> str:
    """A key in the data of a Secret or ConfigMap."""
    if len(name) <= 253 and _DATA_KEY.fullmatch(name) and name != "." and not name.startswith(".."):
        return ""
    return f"{quoted(name)} is not a data key: at most 253 letters, digits, - _ ."
