"""Compare generated objects with what an API server holds, and write them as it takes them; no IO.

An object is ours if the Gateway controls it, it says what was applied, and it is not of another installation. Every
other object of that name is somebody else's, whatever else it looks like.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from trilithon.kube.objects import ApiKind, ObjectPath
from trilithon.model.infrastructure import Generated
from trilithon.resources.meta import GATEWAY_GROUP, Key
from trilithon.resources.quantity import amount

FIELD_MANAGER = "trilithon"
# Holds the number of pods from when we stop setting it until an autoscaler does.
HANDOVER_MANAGER = "trilithon-handover"
# What was applied last: without it nobody could see that a field is not wanted any more.
DIGEST_ANNOTATION = "trilithon.dev/applied"
GATEWAY = ApiKind(GATEWAY_GROUP, "v1", "Gateway", "gateways")
GATEWAY_CLASS = ApiKind(GATEWAY_GROUP, "v1", "GatewayClass", "gatewayclasses", is_namespaced=False)
# No object ever has this version: an apply that names it creates the object or is a conflict, but adopts nothing.
NEVER_A_VERSION = "1"


class Owner(Struct, frozen=True, gc=False):
    """The Gateway that owns objects, as their controller."""

    gateway: Key
    uid: str

    @property
    def reference(self) -> dict[str, object]:
        """As it stands in the metadata of what it owns."""
        name = self.gateway.name
        return {
            "apiVersion": GATEWAY.api_version,
            "kind": GATEWAY.kind,
            "name": name,
            "uid": self.uid,
            "controller": True,
        }


class Existing(Struct, frozen=True, gc=False):
    """An object as an API server holds it.

    ``owner`` is the Gateway that owns it, if one does. ``digest`` is that of what was applied last. ``content`` is the
    object without its status. ``data`` is that of a Secret, decoded. ``right_for`` is the digest of a manifest with
    which the object was compared and found to agree; its content is not kept then.
    """

    path: ObjectPath
    uid: str
    version: str
    labels: tuple[tuple[str, str], ...]
    owner: Owner | None
    digest: str
    content: bytes
    data: tuple[tuple[str, bytes], ...] = ()
    right_for: str = ""

    def __repr__(self) -> str:
        """Without the data, which is secret."""
        return f"<{self.path} {self.version}>"

    def is_older_than(self, other: Existing) -> bool:
        """Whether the other is a later version of the same object."""
        both = self.version.isdecimal() and other.version.isdecimal()
        return self.uid == other.uid and both and int(self.version) < int(other.version)


def existing_of(kind: ApiKind, written: Raw | bytes) -> Existing:
    """Read an object. Raises msgspec.MsgspecError, KeyError or TypeError if it is none."""
    found: dict[str, Any] = msgspec.json.decode(written)
    metadata = found["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    data = found.pop("data", None) or {}
    found["metadata"] = {"labels": labels, "annotations": annotations}
    found.pop("status", None)
    return Existing(
        path=ObjectPath(kind, metadata["name"], metadata.get("namespace", "")),
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        labels=tuple(sorted(labels.items())),
        owner=_owner(metadata),
        digest=annotations.get(DIGEST_ANNOTATION, ""),
        content=msgspec.json.encode(found),
        data=tuple((name, _decoded(value)) for name, value in data.items()) if kind.kind == "Secret" else (),
    )


def _owner(metadata: Mapping[str, Any]) -> Owner | None:
    for reference in metadata.get("ownerReferences") or ():
        group = reference["apiVersion"].rpartition("/")[0]
        if reference.get("controller") and (group, reference["kind"]) == (GATEWAY.group, GATEWAY.kind):
            return Owner(Key(GATEWAY.kind, metadata.get("namespace", ""), reference["name"]), reference["uid"])
    return None


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return b""


def digest_of(generated: Generated) -> str:
    """Tells one manifest from another."""
    return hashlib.sha256(generated.manifest).hexdigest()[:32]


def is_as_generated(existing: Existing, generated: Generated) -> bool:
    """Whether everything that the manifest says holds of the object; what others have added to it is theirs."""
    if existing.right_for:
        return existing.right_for == digest_of(generated)
    manifest = msgspec.json.decode(generated.manifest)
    metadata = manifest["metadata"]
    wanted = {**manifest, "metadata": {"labels": metadata["labels"], "annotations": metadata["annotations"]}}
    return existing.digest == digest_of(generated) and _holds(msgspec.json.decode(existing.content), wanted)


def compared(existing: Existing, generated: Generated) -> Existing:
    """The object, with what came of comparing it where it agrees."""
    if existing.right_for or not is_as_generated(existing, generated):
        return existing
    return msgspec.structs.replace(existing, right_for=digest_of(generated), content=b"")


def _holds(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            name in found and _holds(found[name], value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        if not isinstance(found, list):
            return False
        if not any(isinstance(each, dict) for each in wanted):
            return bool(found == wanted)
        return all(any(_holds(other, each) for other in found) for each in wanted)
    if isinstance(wanted, str) and isinstance(found, str) and found != wanted:
        # The server writes an amount its own way: 1000m as 1.
        asked = amount(wanted)
        return asked is not None and asked == amount(found)
    return bool(found == wanted)


def body(generated: Generated, owner: Owner, data: Mapping[str, bytes] | None, uid: str = "") -> dict[str, Any]:
    """What to apply: to the object with this uid and no other, or with "" to create it and to change none."""
    manifest: dict[str, Any] = msgspec.json.decode(generated.manifest)
    metadata = manifest["metadata"]
    metadata["ownerReferences"] = [owner.reference]
    metadata["annotations"][DIGEST_ANNOTATION] = digest_of(generated)
    if uid:
        metadata["uid"] = uid
    else:
        metadata["resourceVersion"] = NEVER_A_VERSION
    if data is not None:
        manifest["data"] = {name: base64.b64encode(value).decode() for name, value in data.items()}
    return manifest


def unwanted(mine: Sequence[Existing], owner: Owner, wanted: Sequence[Generated]) -> list[Existing]:
    """The objects of this very Gateway that are not generated any more."""
    paths = {each.path for each in wanted}
    return [each for each in mine if each.owner == owner and each.path not in paths]


def leaves_number_open(generated: Generated) -> bool:
    """Whether this is a Deployment whose number of pods is not ours to set."""
    if generated.path.kind.kind != "Deployment":
        return False
    return "replicas" not in msgspec.json.decode(generated.manifest)["spec"]


def handover_of(written: bytes) -> dict[str, Any] | None:
    """What another manager has to apply, so that a Deployment's number of pods stays; None if it is not ours now."""
    found: dict[str, Any] = msgspec.json.decode(written)
    metadata = found["metadata"]
    ours = [each for each in metadata.get("managedFields") or () if each.get("manager") == FIELD_MANAGER]
    if not any("f:replicas" in ((each.get("fieldsV1") or {}).get("f:spec") or {}) for each in ours):
        return None
    return {
        "apiVersion": found["apiVersion"],
        "kind": found["kind"],
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
        "spec": {"replicas": found["spec"]["replicas"]},
    }
