"""Decide which Gateways are ours."""

from __future__ import annotations

from trilithon.incremental import Index, Read
from trilithon.model.gateway_mistakes import (
    CLASS_HELD,
    CLASS_LOST,
    CLASS_NOT_ACCEPTED,
    CLASS_NOT_FOUND,
    CLASS_OF_ANOTHER,
)
from trilithon.model.settings import Settings
from trilithon.model.tables import CLASSES, SERVICES
from trilithon.resources.core import Service
from trilithon.resources.gateways import Gateway, GatewayClass
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.translate.flaws import flaws_of_class
from trilithon.translate.generated_names import installation_label
from trilithon.translate.parameters import class_parameters

# What tells of a Gateway that it was ours, when its class is not there to tell.
SERVICES_BY_GATEWAY: Index[Key, Key, Service] = Index(
    "services by gateway", SERVICES, lambda row: [Key("Gateway", row.key.namespace, row.gateway)] if row.gateway else []
)


def class_problems(read: Read, class_: GatewayClass) -> tuple[Problem, ...]:
    """What is wrong with a class of ours; a class with a problem is not accepted, and serves no Gateway that is new."""
    parameters = class_parameters(read, class_)
    return (*flaws_of_class(class_), *((parameters,) if isinstance(parameters, Problem) else ()))


def is_ours(settings: Settings, class_: GatewayClass) -> bool:
    """Whether the class names our controller (GatewayClass.spec.controllerName)."""
    return class_.spec.controller_name == settings.controller_name


def our_gateway(settings: Settings, read: Read, gateway: Gateway) -> Gateway | None:
    """The Gateway itself when a class of ours governs it, else None: it is somebody else's, or nobody's.

    In a cluster a Gateway stays ours when its class is refused, or gone although we served it: changes of a class need
    not reach its Gateways (GatewayClass), and one wrong object must not end all of them.
    """
    class_ = read.one(CLASSES, class_key(gateway))
    if class_ is None:
        return gateway if _was_ours(settings, read, gateway) else None
    if not is_ours(settings, class_):
        return None
    return gateway if not settings.shared_address or not class_problems(read, class_) else None


def held(settings: Settings, read: Read, gateway: Gateway) -> Problem | None:
    """The warning for a Gateway of ours that goes on as it is, because its class is refused or gone.

    Nothing is generated for a new one, and those that run go on.
    """
    at, name = "spec.gatewayClassName", gateway.spec.gateway_class_name
    class_ = read.one(CLASSES, class_key(gateway))
    if class_ is None:
        return CLASS_LOST.at(gateway.key, at, name=name) if _was_ours(settings, read, gateway) else None
    if settings.shared_address or not is_ours(settings, class_) or not (problems := class_problems(read, class_)):
        return None
    return CLASS_HELD.at(gateway.key, at, name=name, why=problems[0].message)


def is_generated(settings: Settings, service: Service) -> bool:
    """Whether a Service says that it is one of those that this installation has made."""
    installation = settings.installation
    if installation is None:
        return False
    return service.installation == installation_label(installation.namespace, installation.name)


def generated_services(settings: Settings, read: Read, gateway: Gateway) -> tuple[Service, ...]:
    """The Services that say that this installation has made them for a Gateway, whatever its class was then."""
    if settings.installation is None:
        return ()
    return tuple(each for each in read.group(SERVICES_BY_GATEWAY, gateway.key) if is_generated(settings, each))


def _was_ours(settings: Settings, read: Read, gateway: Gateway) -> bool:
    """Whether there is a Service that we made for a Gateway; the cluster remembers what a restart forgets."""
    return bool(generated_services(settings, read, gateway))


def class_key(gateway: Gateway) -> Key:
    """Key of the class that a Gateway names."""
    return Key("GatewayClass", "", gateway.spec.gateway_class_name)


def class_of_another(settings: Settings, gateway: Gateway, class_: GatewayClass) -> Problem | None:
    """The warning for a Gateway of another controller's class, where no other controller is around to serve it."""
    if is_ours(settings, class_) or not settings.shared_address:
        return None
    return CLASS_OF_ANOTHER.at(
        gateway.key,
        "spec.gatewayClassName",
        name=class_.key.name,
        controller=class_.spec.controller_name,
        ours=settings.controller_name,
    )


def unserved(settings: Settings, read: Read, gateway: Gateway) -> Problem | None:
    """The warning for a Gateway whose class is nowhere to be seen, or is ours and not accepted."""
    at, name = "spec.gatewayClassName", gateway.spec.gateway_class_name
    class_ = read.one(CLASSES, class_key(gateway))
    if class_ is None and not settings.shared_address:
        # Whose class it would be, nobody can tell.
        return None
    if class_ is None:
        return CLASS_NOT_FOUND.at(gateway.key, at, name=name)
    problems = class_problems(read, class_) if is_ours(settings, class_) else ()
    if problems and settings.shared_address:
        return CLASS_NOT_ACCEPTED.at(gateway.key, at, name=name, why=problems[0].message)
    return None
