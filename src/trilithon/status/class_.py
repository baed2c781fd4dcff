"""The status of a GatewayClass of ours."""

from __future__ import annotations

from msgspec import Struct

from trilithon.incremental import Read, Table
from trilithon.model.problem import reason_of
from trilithon.model.settings import Settings
from trilithon.resources.gateways import GatewayClass
from trilithon.resources.meta import Key
from trilithon.status.conditions import Condition
from trilithon.status.features import SUPPORTED_FEATURES
from trilithon.status.supported_version import supported_version
from trilithon.translate.classes import class_problems, is_ours


class ClassStatus(Struct, frozen=True, gc=False):
    """GatewayClass.status."""

    key: Key
    conditions: tuple[Condition, ...]
    supported_features: tuple[str, ...]


CLASS_STATUS: Table[Key, ClassStatus] = Table("class status")


def class_status_of(settings: Settings, read: Read, class_: GatewayClass) -> ClassStatus | None:
    """Accepted or not, and whether the API's version is supported; None for a class of another controller."""
    if not is_ours(settings, class_):
        return None
    problems = class_problems(read, class_)
    if problems:
        accepted = Condition("Accepted", "False", reason_of(problems[0]), problems[0].message, class_.generation)
    else:
        accepted = Condition("Accepted", "True", "Accepted", "The class is served by Trilithon", class_.generation)
    version = supported_version(read, class_.generation)
    return ClassStatus(class_.key, (accepted, version) if version else (accepted,), SUPPORTED_FEATURES)


def rendered(status: ClassStatus) -> dict[str, object]:
    """The status as it is written to a cluster."""
    return {
        "conditions": [condition.rendered() for condition in status.conditions],
        "supportedFeatures": [{"name": name} for name in status.supported_features],
    }
