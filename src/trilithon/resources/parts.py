"""What documents hold beside a spec: metadata, and the top-level fields of kinds that have no spec."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from trilithon.resources.core import ServiceSpec, ServiceStatus, SliceEndpoint, SlicePort
from trilithon.resources.meta import MAX_INT64, MIN_INT64, Part, Spec


class OwnerReference(Spec, kw_only=True):
    """An object without which this one is to be deleted."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(Spec, kw_only=True):
    """The metadata of an object: what is used or can be wrong."""

    name: str = ""
    namespace: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    generation: Annotated[int, Meta(ge=MIN_INT64, le=MAX_INT64)] = 1
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: Annotated[int, Meta(ge=MIN_INT64, le=MAX_INT64)] | None = None
    generate_name: str = ""
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()
    uid: str = ""
    resource_version: str = ""
    self_link: str = ""

    @property
    def created(self) -> str:
        """The time of creation, or "" for an object that has none."""
        return self.creation_timestamp or ""


# Who has set which field: larger than the rest of an object, and of no use here.
UNUSED_METADATA = frozenset({"managedFields"})


class ServiceParts(Part, kw_only=True):
    """A Service besides its metadata: addresses are in its status."""

    spec: ServiceSpec
    status: ServiceStatus | None = None


class EndpointSliceParts(Part, kw_only=True):
    """The top-level fields of an EndpointSlice."""

    address_type: Literal["IPv4", "IPv6", "FQDN"]
    endpoints: Annotated[tuple[SliceEndpoint, ...], Meta(max_length=1000)] = ()
    ports: Annotated[tuple[SlicePort, ...], Meta(max_length=20_000)] = ()


class SecretParts(Part, kw_only=True):
    """The top-level fields of a Secret; ``data`` is base64."""

    type: str = ""
    data: dict[str, str] | None = None
    string_data: dict[str, str] | None = None
    immutable: bool | None = None


class ConfigMapParts(Part, kw_only=True):
    """The top-level fields of a ConfigMap; ``binary_data`` is base64."""

    data: dict[str, str] | None = None
    binary_data: dict[str, str] | None = None
    immutable: bool | None = None


class NamespaceParts(Part, kw_only=True):
    """Nothing of a Namespace but its metadata is kept."""
