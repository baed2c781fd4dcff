"""Find the parameters of a Gateway: its own before those of its class, field by field."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Struct

from trilithon.incremental import Read
from trilithon.model import gateway_mistakes as mistakes
from trilithon.model.tables import CLASSES, PARAMETERS
from trilithon.resources.gateways import Gateway, GatewayClass
from trilithon.resources.meta import TRILITHON_GROUP, Key, LocalObjectReference, ObjectReference
from trilithon.resources.parameters import GatewayParametersSpec
from trilithon.resources.problem import Problem

KIND = "GatewayParameters"
_CLASS_AT = "spec.parametersRef"
_GATEWAY_AT = "spec.infrastructure.parametersRef"

Part = TypeVar("Part", bound=Struct)


def class_parameters(read: Read, class_: GatewayClass) -> GatewayParametersSpec | Problem | None:
    """What the class says of all its Gateways; None where it names no parameters (GatewayClass.parametersRef)."""
    ref = class_.spec.parameters_ref
    if ref is None:
        return None
    if not _is_known(ref):
        return mistakes.CLASS_PARAMETERS.at(class_.key, _CLASS_AT, kind=ref.kind, name=ref.name)
    if ref.namespace is None:
        return mistakes.CLASS_PARAMETERS_NOWHERE.at(class_.key, f"{_CLASS_AT}.namespace", name=ref.name)
    row = read.one(PARAMETERS, Key(KIND, ref.namespace, ref.name))
    if row is None:
        return mistakes.CLASS_PARAMETERS_NOT_FOUND.at(class_.key, _CLASS_AT, parameters=f"{ref.namespace}/{ref.name}")
    return row.spec


def own_parameters(read: Read, gateway: Gateway) -> GatewayParametersSpec | Problem | None:
    """What the Gateway says for itself; None where it names no parameters (GatewayInfrastructure.parametersRef)."""
    infrastructure = gateway.spec.infrastructure
    ref = infrastructure.parameters_ref if infrastructure is not None else None
    if ref is None:
        return None
    if not _is_known(ref):
        return mistakes.GATEWAY_PARAMETERS.at(gateway.key, _GATEWAY_AT, kind=ref.kind, name=ref.name)
    key = Key(KIND, gateway.key.namespace, ref.name)
    row = read.one(PARAMETERS, key)
    if row is None:
        return mistakes.GATEWAY_PARAMETERS_NOT_FOUND.at(gateway.key, _GATEWAY_AT, parameters=key.path)
    if row.spec.host_network:
        # Whoever owns a Gateway could otherwise have the controller put a pod into the nodes' own network.
        return mistakes.GATEWAY_PARAMETERS_HOST_NETWORK.at(gateway.key, _GATEWAY_AT, parameters=key.path)
    return row.spec


def parameters_of(read: Read, gateway: Gateway) -> GatewayParametersSpec:
    """Both together; parameters that cannot be used count as none."""
    class_ = read.one(CLASSES, Key("GatewayClass", "", gateway.spec.gateway_class_name))
    of_class = class_parameters(read, class_) if class_ is not None else None
    own = own_parameters(read, gateway)
    return merged(
        of_class if isinstance(of_class, GatewayParametersSpec) else GatewayParametersSpec(),
        own if isinstance(own, GatewayParametersSpec) else GatewayParametersSpec(),
    )


def merged(defaults: GatewayParametersSpec, own: GatewayParametersSpec) -> GatewayParametersSpec:
    """The defaults with everything replaced that ``own`` says."""
    if own.replicas is not None or own.autoscaling is not None:
        # Two ways to say one thing: the defaults' way must not stay beside the other.
        defaults = msgspec.structs.replace(defaults, replicas=None, autoscaling=None)
    return _merged(defaults, own)


def _merged(defaults: Part, own: Part) -> Part:
    values: dict[str, object] = {}
    for name in defaults.__struct_fields__:
        default, value = getattr(defaults, name), getattr(own, name)
        if isinstance(default, Struct) and isinstance(value, Struct):
            values[name] = _merged(default, value)
        elif isinstance(default, dict) and isinstance(value, dict):
            values[name] = {**default, **value}
        else:
            values[name] = default if value in (None, ()) else value
    return type(defaults)(**values)


def _is_known(ref: ObjectReference | LocalObjectReference) -> bool:
    return (ref.group, ref.kind) == (TRILITHON_GROUP, KIND)
