"""What this layer knows of any object: its metadata, and the path at which a server serves it."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from msgspec import Struct


class ObjectName(NamedTuple):
    """An object within its kind; cluster-scoped ones have the namespace ""."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Metadata(Struct, frozen=True, gc=False, rename="camel"):
    """The part of an object's metadata that watching and locking need."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""

    @property
    def object_name(self) -> ObjectName:
        """The name within the kind."""
        return ObjectName(self.namespace, self.name)


class ObjectHead(Struct, frozen=True, gc=False):
    """An object of which only the metadata is read."""

    metadata: Metadata


class ApiKind(Struct, frozen=True, gc=False):
    """A kind as one API server serves it: ``plural`` is its name in paths, ``subresources`` such as ``status``."""

    group: str
    version: str
    kind: str
    plural: str
    is_namespaced: bool = True
    subresources: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """As objects write it: ``group/version``, or the version alone in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "") -> str:
        """Where its objects are listed: all of them, or those of a namespace where the kind has namespaces."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        if namespace and self.is_namespaced:
            return f"{root}/namespaces/{quote(namespace, safe='')}/{self.plural}"
        return f"{root}/{self.plural}"


class ObjectPath(Struct, frozen=True, gc=False):
    """One object of an API server."""

    kind: ApiKind
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        return f"{self.kind.kind} {ObjectName(self.namespace, self.name)}"

    def path(self, subresource: str = "") -> str:
        """Where the object, or a subresource of it such as ``status``, is read and written."""
        path = f"{self.kind.path(self.namespace)}/{quote(self.name, safe='')}"
        return f"{path}/{subresource}" if subresource else path


def is_before(version: str, other: str) -> bool:
    """Whether a resource version is certainly older than another; only numbers can be compared."""
    return version.isdecimal() and other.isdecimal() and int(version) < int(other)
