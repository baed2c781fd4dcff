"""Makes the resources of which not only the spec is read: Service, Secret, ConfigMap, Namespace and EndpointSlice.

Each function takes the key, the metadata and the typed top-level fields, and returns the resource and what is wrong.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from trilithon.resources.core import Bytes, ConfigMap, EndpointSlice, Namespace, Secret, Service
from trilithon.resources.meta import GATEWAY_GROUP, Key
from trilithon.resources.names import data_key_problem
from trilithon.resources.parts import (
    ConfigMapParts,
    EndpointSliceParts,
    NamespaceParts,
    ObjectMeta,
    SecretParts,
    ServiceParts,
)
from trilithon.resources.rules_service import check_annotations
from trilithon.resources.wording import Finding, printable

# What a Secret or ConfigMap may hold.
MAX_DATA = 2**20

_MANAGER_LABEL, _MANAGER = "app.kubernetes.io/managed-by", "trilithon"
_INSTALLATION_LABEL = "trilithon.dev/installation"
_HOST_NETWORK_ANNOTATION = "trilithon.dev/host-network"
_NAME_LABEL = "kubernetes.io/metadata.name"
_SERVICE_LABEL = "kubernetes.io/service-name"
# Type -> the keys that a Secret of it needs.
_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
}
_LOGIN_TYPE, _LOGIN_KEYS = "kubernetes.io/basic-auth", ("username", "password")
_ACCOUNT_TYPE, _ACCOUNT = "kubernetes.io/service-account-token", "kubernetes.io/service-account.name"


def service(key: Key, metadata: ObjectMeta, parts: ServiceParts) -> tuple[Service, list[Finding]]:
    """A Service with the addresses that it was given, and what tells a generated one from others."""
    given = parts.status.load_balancer.ingress if parts.status else ()
    found = [finding.under(".metadata.annotations") for finding in _annotations(metadata, parts)]
    labels = metadata.labels or {}
    installation = labels.get(_INSTALLATION_LABEL, "") if labels.get(_MANAGER_LABEL) == _MANAGER else ""
    on_nodes = bool(installation) and (metadata.annotations or {}).get(_HOST_NETWORK_ANNOTATION) == "true"
    return Service(
        key, metadata.generation, metadata.created, parts.spec, given, _gateway(metadata), installation, on_nodes
    ), found


def _gateway(metadata: ObjectMeta) -> str:
    for owner in metadata.owner_references:
        if owner.controller and (owner.api_version.rpartition("/")[0], owner.kind) == (GATEWAY_GROUP, "Gateway"):
            return owner.name
    return ""


def _annotations(metadata: ObjectMeta, parts: ServiceParts) -> Sequence[Finding]:
    return check_annotations(metadata.annotations, parts.spec.type) if metadata.annotations else ()


def secret(key: Key, metadata: ObjectMeta, parts: SecretParts) -> tuple[Secret, list[Finding]]:
    """A Secret. No message holds any of its values."""
    found = [*_keys(parts.data, ".data"), *_keys(parts.string_data, ".stringData")]
    data: dict[str, bytes] = {}
    for name, text in (parts.data or {}).items():
        try:
            data[name] = _decoded(text)
        except ValueError:
            hint = "put plain text under stringData"
            found.append(Finding("InvalidValue", f".data[{printable(name)}]", "the value is not base64", hint))
    # A value there wins over the same key in data.
    for name, text in (parts.string_data or {}).items():
        data[name] = text.encode("utf-8", "replace")
    found += _of_type(parts, data, metadata)
    found += _size(sum(map(len, data.values())))
    values = tuple((name, Bytes(value)) for name, value in sorted(data.items()))
    row = Secret(key, metadata.generation, metadata.created, parts.type or "Opaque", values, uid=metadata.uid)
    return row, found


def _of_type(parts: SecretParts, data: Mapping[str, bytes], metadata: ObjectMeta) -> Iterator[Finding]:
    """What the Secret's type asks for and the Secret has not."""
    written = {*(parts.data or {}), *(parts.string_data or {})}
    for name in _KEYS.get(parts.type, ()):
        # An empty key is none, but only to ssh.
        if name not in written or (name == "ssh-privatekey" and not data.get(name)):
            yield Finding("MissingField", f".data[{name}]", f"a Secret of type {parts.type} needs it")
        elif name.startswith(".docker") and not _is_json_object(data.get(name, b"")):
            yield Finding("InvalidValue", f".data[{name}]", "the value is not a JSON object")
    if parts.type == _LOGIN_TYPE and not written.intersection(_LOGIN_KEYS):
        message = f"a Secret of type {parts.type} needs {' or '.join(_LOGIN_KEYS)}"
        yield Finding("MissingField", f".data[{_LOGIN_KEYS[0]}]", message)
    if parts.type == _ACCOUNT_TYPE and not (metadata.annotations or {}).get(_ACCOUNT):
        message = f"a Secret of type {parts.type} names its service account here"
        yield Finding("MissingField", f".metadata.annotations[{_ACCOUNT}]", message)


def _is_json_object(text: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), (dict, type(None)))
    except (msgspec.DecodeError, RecursionError):
        return False


def config_map(key: Key, metadata: ObjectMeta, parts: ConfigMapParts) -> tuple[ConfigMap, list[Finding]]:
    """A ConfigMap; its binary values are checked and left out."""
    data, binary = parts.data or {}, parts.binary_data or {}
    found = [*_keys(data, ".data"), *_keys(binary, ".binaryData")]
    size = sum(len(text.encode("utf-8", "replace")) for text in data.values())
    for name, text in binary.items():
        at = f".binaryData[{printable(name)}]"
        if name in data:
            found.append(Finding("DuplicateName", at, "the same key is in data"))
        try:
            size += len(_decoded(text))
        except ValueError:
            found.append(Finding("InvalidValue", at, "the value is not base64"))
    found += _size(size)
    return ConfigMap(key, metadata.generation, metadata.created, tuple(sorted(data.items()))), found


def namespace(key: Key, metadata: ObjectMeta, _parts: NamespaceParts) -> tuple[Namespace, list[Finding]]:
    """A Namespace with the label of its name, which the API server sets on each and selectors rely on."""
    labels = {**(metadata.labels or {}), _NAME_LABEL: key.name}
    return Namespace(key, metadata.generation, metadata.created, tuple(sorted(labels.items()))), []


def endpoint_slice(key: Key, metadata: ObjectMeta, parts: EndpointSliceParts) -> tuple[EndpointSlice, list[Finding]]:
    """An EndpointSlice with the Service it belongs to."""
    service = (metadata.labels or {}).get(_SERVICE_LABEL, "")
    generation, created = metadata.generation, metadata.created
    # The API server takes any number here, and there is nothing behind those that are no port.
    ports = tuple(port for port in parts.ports if port.port is None or 1 <= port.port <= 65535)
    return EndpointSlice(key, generation, created, service, parts.address_type, parts.endpoints, ports), []


def _keys(data: Mapping[str, str] | None, path: str) -> list[Finding]:
    problems = map(data_key_problem, data or ())
    return [Finding("InvalidValue", path, problem) for problem in problems if problem]


def _size(size: int) -> list[Finding]:
    if size <= MAX_DATA:
        return []
    return [Finding("TooBig", ".data", f"the data has {size} bytes, and {MAX_DATA} are allowed")]


def _decoded(text: str) -> bytes:
    """Base64 as the API server reads it: line ends are skipped, all else is strict. Raises ``ValueError``."""
    compact = text.replace("\n", "").replace("\r", "")
    return binascii.a2b_base64(compact.encode("ascii"), strict_mode=True)
