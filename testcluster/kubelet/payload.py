"""What ConfigMaps and Secrets hold, and the files that a volume makes of it."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from testcluster.kubelet.problems import CannotRun
from testcluster.kubelet.volume_spec import KeyToPath


class File(Struct, frozen=True):
    """The content of a file and its permissions."""

    content: bytes
    mode: int


# By their paths below the volume.
Files = Mapping[str, File]


class _Data(Struct, rename="camel"):
    kind: str = ""
    data: dict[str, str] | None = None
    binary_data: dict[str, str] | None = None


def data_of(written: bytes) -> dict[str, bytes]:
    """The entries of a ConfigMap or Secret from its JSON. Raises msgspec.MsgspecError or ValueError."""
    said = msgspec.json.decode(written, type=_Data)
    encoded = dict(said.binary_data or {})
    plain: dict[str, str] = {}
    (encoded if said.kind == "Secret" else plain).update(said.data or {})
    return {
        **{key: value.encode() for key, value in plain.items()},
        **{key: base64.b64decode(value) for key, value in encoded.items()},
    }


def files_of(
    data: Mapping[str, bytes], items: tuple[KeyToPath, ...], mode: int, *, is_optional: bool
) -> dict[str, File]:
    """The files of a volume: all entries, or those that ``items`` name. Raises CannotRun if one of these is missing."""
    if not items:
        return {key: File(content, mode) for key, content in data.items()}
    missing = [item.key for item in items if item.key not in data]
    if missing and not is_optional:
        raise CannotRun("ContainerCreating", f"references non-existent config key: {', '.join(missing)}")
    return {
        item.path: File(data[item.key], mode if item.mode is None else item.mode) for item in items if item.key in data
    }
