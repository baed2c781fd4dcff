"""Name the objects that are generated for a Gateway, and what tells them apart from others.

Object names are at most 63 characters of a DNS label that begins with a letter, because a Service cannot have more.
https://gateway-api.sigs.k8s.io/geps/gep-1762/
"""

from __future__ import annotations

import hashlib
import re

from trilithon.resources.gateways import Gateway

GATEWAY_NAME_LABEL = "gateway.networking.k8s.io/gateway-name"
CLASS_NAME_LABEL = "gateway.networking.k8s.io/gateway-class-name"
MANAGER_LABEL = "app.kubernetes.io/managed-by"
INSTALLATION_LABEL = "trilithon.dev/installation"
GATEWAY_ANNOTATION = "trilithon.dev/gateway"
# On a Service whose pods have their nodes' addresses: parameters that are gone cannot tell any more.
HOST_NETWORK_ANNOTATION = "trilithon.dev/host-network"
MANAGER = "trilithon"

_LONGEST = 63
_DIGITS = 12
# Between what is left of a name and the digest; names that hold it themselves get a digest too, so that no name as
# written is another's shortened one.
_MARK = "--"
# Only what a Service's name can hold, and nothing that could be split in two ways.
_PLAIN_NAME = re.compile(r"[a-z][-a-z0-9]*")
_PLAIN_CLASS = re.compile(r"[a-z0-9]+")


def object_name(gateway: Gateway) -> str:
    """The name of a Gateway's generated objects: ``<gateway>-<class>`` where that can be a name (GEP-1762)."""
    name, class_ = gateway.key.name, gateway.spec.gateway_class_name
    written = f"{name}-{class_}"
    is_plain = _PLAIN_NAME.fullmatch(name) and _PLAIN_CLASS.fullmatch(class_) and _MARK not in written
    if is_plain and len(written) <= _LONGEST:
        return written
    return _shortened(written, name, class_)


def further_name(gateway: Gateway, purpose: str) -> str:
    """The name of one more object of a kind of which a Gateway has several."""
    name, class_ = gateway.key.name, gateway.spec.gateway_class_name
    return _shortened(f"{name}-{class_}", name, class_, purpose)


def label_value(name: str) -> str:
    """An object's name as the value of a label: itself where it is short enough."""
    if len(name) <= _LONGEST and _MARK not in name:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]
    return f"{name[: _LONGEST - len(_MARK) - _DIGITS].rstrip('-.')}{_MARK}{digest}"


def selector(gateway: Gateway) -> dict[str, str]:
    """The labels by which a Gateway's pods are found; they never change, because a Deployment's selector cannot."""
    return {GATEWAY_NAME_LABEL: label_value(gateway.key.name), MANAGER_LABEL: MANAGER}


def installation_labels(namespace: str, name: str) -> dict[str, str]:
    """The labels of all that one installation generates: two must not take each other's objects for their own."""
    return {MANAGER_LABEL: MANAGER, INSTALLATION_LABEL: installation_label(namespace, name)}


def installation_label(namespace: str, name: str) -> str:
    """Tells one installation from another."""
    return label_value(f"{namespace}.{name}")


def _shortened(written: str, *identity: str) -> str:
    digest = hashlib.sha256("/".join(identity).encode()).hexdigest()[:_DIGITS]
    letters = re.sub(r"[^a-z0-9]+", "-", written)
    if not letters[0].isalpha():
        letters = f"gw-{letters}"
    return f"{letters[: _LONGEST - len(_MARK) - _DIGITS].rstrip('-')}{_MARK}{digest}"
