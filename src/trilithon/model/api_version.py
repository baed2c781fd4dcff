"""What the cluster's definitions of Gateway API say of themselves."""

from __future__ import annotations

from msgspec import Struct

BUNDLE_VERSION = "gateway.networking.k8s.io/bundle-version"
CHANNEL = "gateway.networking.k8s.io/channel"


class ApiVersion(Struct, frozen=True, gc=False):
    """The annotations of one CustomResourceDefinition; "" where one is missing."""

    name: str
    bundle_version: str = ""
    channel: str = ""
