"""The environment of a container's program, and what ``$(NAME)`` means in its command."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Final

from testcluster.kubelet.api import Api, Reference
from testcluster.kubelet.fields import Place, field_of, resource_of
from testcluster.kubelet.objects import Container, Pod
from testcluster.kubelet.problems import CannotRun
from testcluster.kubelet.volume_spec import EnvironmentSource, KeySelector

_VARIABLE = re.compile(r"\$\$|\$\(([^()]+)\)")
# The interpreter that runs this comes first: programs of this repository are what pods run most.
PATH: Final = f"{sys.prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Environments:
    """Makes environments; ``service`` is where pods find the API server: host and port."""

    def __init__(self, api: Api, service: tuple[str, str]) -> None:
        self._api = api
        self._service = service

    async def of(self, pod: Pod, container: Container, place: Place, home: str) -> dict[str, str]:
        """The variables of a container. Raises CannotRun if something that they are made of is missing."""
        host, port = self._service
        cluster_ip = await self._api.service_address()
        if cluster_ip:
            host, port = cluster_ip, "443"
        made = {
            "PATH": PATH,
            "HOSTNAME": pod.spec.hostname or pod.metadata.name,
            "HOME": home,
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port,
            "KUBERNETES_SERVICE_PORT_HTTPS": port,
        }
        for whole in container.env_from:
            for kind, selector in (("ConfigMap", whole.config_map_ref), ("Secret", whole.secret_ref)):
                if selector is not None:
                    reference = Reference(kind, pod.metadata.namespace, selector.name)
                    data = await self._data(reference, is_optional=selector.optional)
                    made.update({whole.prefix + key: _text(value, reference) for key, value in data.items()})
        for variable in container.env:
            if variable.value_from is None:
                made[variable.name] = expanded(variable.value, made)
                continue
            value = await self._value(pod, container, place, variable.value_from)
            if value is not None:
                made[variable.name] = value
        return made

    async def _value(self, pod: Pod, container: Container, place: Place, source: EnvironmentSource) -> str | None:
        if source.field_ref is not None:
            return field_of(pod, place, source.field_ref)
        if source.resource_field_ref is not None:
            return resource_of(pod, source.resource_field_ref, container.name)
        for kind, selector in (("ConfigMap", source.config_map_key_ref), ("Secret", source.secret_key_ref)):
            if selector is not None:
                return await self._entry(Reference(kind, pod.metadata.namespace, selector.name), selector)
        return None

    async def _entry(self, reference: Reference, selector: KeySelector) -> str | None:
        data = await self._data(reference, is_optional=selector.optional)
        if selector.key in data:
            return _text(data[selector.key], reference)
        if selector.optional:
            return None
        raise CannotRun("CreateContainerConfigError", f"couldn't find key {selector.key} in {reference}")

    async def _data(self, reference: Reference, *, is_optional: bool) -> Mapping[str, bytes]:
        data = await self._api.data(reference)
        if data is None and not is_optional:
            raise CannotRun("CreateContainerConfigError", f"{reference} not found")
        return data or {}


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """A text with ``$(NAME)`` replaced by what the environment says; ``$$`` is a dollar, unknown names stay."""

    def replacement(match: re.Match[str]) -> str:
        return "$" if match[1] is None else environment.get(match[1], match[0])

    return _VARIABLE.sub(replacement, text)


def _text(value: bytes, reference: Reference) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise CannotRun("CreateContainerConfigError", f"{reference} has a value that is no text") from None
