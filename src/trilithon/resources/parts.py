"""What documents hold beside a spec: metadata, and the top-level fields of kinds that have no spec."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from trilithon.resources.core import SliceEndpoint, SlicePort
from trilithon.resources.meta import MAX_INT64, Part, Spec


class ObjectMeta(Spec, kw_only=True):
    """The metadata of an object, reduced to what is used or can be wrong."""

    name: str = ""
    namespace: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    generation: Annotated[int, Meta(ge=0, le=MAX_INT64)] = 1
    creation_timestamp: str = ""
    generate_name: str = ""


# The other fields of metadata that exist.
UNUSED_METADATA = frozenset(
    {
        "uid",
        "resourceVersion",
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "ownerReferences",
        "finalizers",
        "managedFields",
    }
)


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
