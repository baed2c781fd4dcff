"""What a pod may know of itself: its own fields, and the resources of its containers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct

from testcluster.kubelet.objects import Pod
from testcluster.kubelet.problems import CannotRun
from testcluster.kubelet.volume_spec import FieldRef, ResourceFieldRef

_ENTRY = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
_QUANTITY = re.compile(r"([+-]?[0-9.]+)(?:[eE]([+-]?[0-9]+)|([numkMGTPE]|[KMGTPE]i)?)")
_UNITS: Final = {
    **{
        unit: Decimal(1000) ** power for power, unit in enumerate(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), -3)
    },
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}
# The size of the node, which is what a container without limits may use.
NODE_RESOURCES: Final = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "200Gi"}


class Place(Struct, frozen=True):
    """Where a pod runs."""

    address: str
    node_address: str


def quantity(written: str) -> Decimal:
    """The number that a quantity such as ``100m`` or ``1Gi`` means. Raises ValueError."""
    match = _QUANTITY.fullmatch(written)
    if match is None:
        raise ValueError(f"{written!r} is not a quantity")
    number, exponent, unit = match.groups()
    return Decimal(number) * (Decimal(10) ** int(exponent) if exponent else _UNITS[unit or ""])


def field_of(pod: Pod, place: Place, ref: FieldRef) -> str:
    """The text of one of the pod's fields. Raises CannotRun for one that there is not."""
    metadata, path = pod.metadata, ref.field_path
    maps: dict[str, Mapping[str, str]] = {"labels": metadata.labels, "annotations": metadata.annotations}
    if entry := _ENTRY.fullmatch(path):
        return maps[entry[1]].get(entry[2], "")
    fields = {
        "metadata.name": metadata.name,
        "metadata.namespace": metadata.namespace,
        "metadata.uid": metadata.uid,
        "spec.nodeName": pod.spec.node_name,
        "spec.serviceAccountName": pod.spec.service_account_name,
        "status.podIP": place.address,
        "status.podIPs": place.address,
        "status.hostIP": place.node_address,
        "status.hostIPs": place.node_address,
        **{f"metadata.{name}": _lines(entries) for name, entries in maps.items()},
    }
    if path not in fields:
        raise CannotRun("CreateContainerConfigError", f"unsupported fieldPath: {path}")
    return fields[path]


def resource_of(pod: Pod, ref: ResourceFieldRef, container: str) -> str:
    """A request or limit as a whole number of its divisor, rounded up. Raises CannotRun."""
    name = ref.container_name or container
    found = next((each for each in pod.spec.all_containers if each.name == name), None)
    kind, _, resource = ref.resource.partition(".")
    if found is None or kind not in ("limits", "requests"):
        raise CannotRun("CreateContainerConfigError", f"no {ref.resource} of container {name}")
    said = found.resources.limits if kind == "limits" else found.resources.requests
    usual = NODE_RESOURCES.get(resource, "0") if kind == "limits" else "0"
    divisor = quantity(ref.divisor) or Decimal(1)
    return str(math.ceil(quantity(said.get(resource, usual)) / divisor))


def _lines(entries: Mapping[str, str]) -> str:
    # As `kubelet` quotes them.
    return "\n".join(f'{name}="{_escaped(value)}"' for name, value in sorted(entries.items()))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
