"""Render the results of a translation: statuses as a cluster would hold them, Envoy's resources as YAML, counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import yaml
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.message import Message

from trilithon.incremental import Engine, Table
from trilithon.pipeline import PUBLISHED
from trilithon.resources.meta import GATEWAY_GROUP, Key
from trilithon.status import class_, gateway, route
from trilithon.xds.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, XdsResource

# The names of the parts of a Gateway's document, in the order in which Envoy is sent them.
SECTIONS = {CLUSTER: "clusters", ENDPOINT: "endpoints", SECRET: "secrets", LISTENER: "listeners", ROUTE: "routeTables"}
RESOURCE_HEADERS = ("gateway", "clusters", "endpoints", "secrets", "listeners", "route tables", "bytes")
REDACTED = "[redacted]"

Json = dict[str, Any]


class _Dumper(yaml.CSafeDumper):
    """YAML without anchors: each part stands where it is used."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        return True


def yaml_documents(documents: Iterable[Json]) -> str:
    """The documents one after another."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, explicit_start=True, allow_unicode=True, width=120)


def statuses(engine: Engine, written: Collection[Key]) -> list[Json]:
    """Every object that has a status from us, by kind and name."""
    tables: tuple[tuple[Table[Key, Any], Any], ...] = (
        (class_.CLASS_STATUS, class_.rendered),
        (gateway.GATEWAY_STATUS, gateway.rendered),
        (route.ROUTE_STATUS, route.rendered),
    )
    found = {key: rendered(status) for table, rendered in tables for key, status in engine.rows(table).items()}
    return [_with_status(key, found[key]) for key in sorted(found) if key in written]


def _with_status(key: Key, status: Json) -> Json:
    namespace = {"namespace": key.namespace} if key.namespace else {}
    return {
        "apiVersion": f"{GATEWAY_GROUP}/v1",
        "kind": key.kind,
        "metadata": {**namespace, "name": key.name},
        "status": status,
    }


def _by_gateway(engine: Engine) -> dict[Key, list[XdsResource]]:
    found: dict[Key, list[XdsResource]] = {}
    for table in PUBLISHED:
        for key, resource in engine.rows(table).items():
            found.setdefault(key[0], []).append(resource)
    return dict(sorted(found.items()))


def envoy_resources(engine: Engine) -> list[Json]:
    """One document for each Gateway: its Envoy's resources by type and name, as protobuf's JSON, secrets redacted."""
    return [{"gateway": key.path, **_sections(resources)} for key, resources in _by_gateway(engine).items()]


def _sections(resources: Iterable[XdsResource]) -> Json:
    sections: dict[str, list[Json]] = {section: [] for section in SECTIONS.values()}
    for resource in sorted(resources, key=lambda each: each.name):
        sections[SECTIONS[resource.type_url]].append(decoded(resource))
    return {section: entries for section, entries in sections.items() if entries}


def decoded(resource: XdsResource) -> Json:
    """A resource as JSON; of a secret only its name and what sort it is."""
    descriptor = descriptor_pool.Default().FindMessageTypeByName(resource.type_url.rpartition("/")[2])
    message: Message = message_factory.GetMessageClass(descriptor)()
    message.ParseFromString(b"".join(resource.chunks))
    value: Json = _sorted(json_format.MessageToDict(message, preserving_proto_field_name=True))
    return _redacted(value) if resource.type_url == SECRET else value


def _redacted(secret: Json) -> Json:
    """Every value but the name is replaced: nothing has to be known to be secret in order to stay one."""
    return {name: value if name == "name" else _hidden(value) for name, value in secret.items()}


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _hidden(each) for name, each in value.items()}
    return [_hidden(each) for each in value] if isinstance(value, list) else REDACTED


def _sorted(value: Any) -> Any:
    """The same with sorted keys, the name first: protobuf's maps have no order of their own."""
    if isinstance(value, Mapping):
        return {name: _sorted(value[name]) for name in sorted(value, key=lambda each: (each not in _FIRST, each))}
    return [_sorted(each) for each in value] if isinstance(value, list) else value


_FIRST = ("name", "@type")


def object_counts(written: Iterable[Key]) -> list[tuple[str, str]]:
    """How many objects there are of each kind."""
    return [(kind, str(count)) for kind, count in sorted(Counter(key.kind for key in written).items())]


def resource_counts(engine: Engine) -> list[tuple[str, ...]]:
    """How many resources of each type each Gateway's Envoy gets, and their size in bytes."""
    rows = []
    for key, resources in _by_gateway(engine).items():
        count = Counter(each.type_url for each in resources)
        size = sum(len(chunk) for each in resources for chunk in each.chunks)
        rows.append((key.path, *(str(count[type_url]) for type_url in SECTIONS), f"{size:,}"))
    return rows
