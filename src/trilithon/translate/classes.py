"""Decide which Gateways are ours."""

from __future__ import annotations

from trilithon.incremental import Read
from trilithon.model.gateway_mistakes import (
    CLASS_HELD,
    CLASS_NOT_ACCEPTED,
    CLASS_NOT_FOUND,
    CLASS_OF_ANOTHER,
    CLASS_PARAMETERS_NOT_FOUND,
)
from trilithon.model.settings import Settings
from trilithon.model.tables import CLASSES
from trilithon.resources.gateways import Gateway, GatewayClass
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.translate.parameters import class_parameters


def class_problems(read: Read, class_: GatewayClass) -> tuple[Problem, ...]:
    """What is wrong with a class of ours; a class with a problem is not accepted, and serves no Gateway that is new."""
    parameters = class_parameters(read, class_)
    return (parameters,) if isinstance(parameters, Problem) else ()


def is_ours(settings: Settings, class_: GatewayClass) -> bool:
    """Whether the class names our controller (GatewayClass.spec.controllerName)."""
    return class_.spec.controller_name == settings.controller_name


def our_gateway(settings: Settings, read: Read, gateway: Gateway) -> Gateway | None:
    """The Gateway itself when an accepted class of ours governs it, else None: it is somebody else's, or nobody's."""
    class_ = read.one(CLASSES, class_key(gateway))
    if class_ is None or not is_ours(settings, class_):
        return None
    problems = class_problems(read, class_)
    return None if problems and not _is_held(settings, problems) else gateway


def held(settings: Settings, read: Read, gateway: Gateway) -> Problem | None:
    """The warning for a Gateway that is served as it was, because the parameters of its class are gone.

    One object that somebody deletes must not end all Gateways of a class: nothing is generated for new ones, and those
    that run go on.
    """
    class_ = read.one(CLASSES, class_key(gateway))
    problems = class_problems(read, class_) if class_ is not None else ()
    if class_ is None or not _is_held(settings, problems):
        return None
    return CLASS_HELD.at(gateway.key, "spec.gatewayClassName", name=class_.key.name, why=problems[0].message)


def _is_held(settings: Settings, problems: tuple[Problem, ...]) -> bool:
    return settings.installation is not None and any(each.code == CLASS_PARAMETERS_NOT_FOUND.code for each in problems)


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
    if problems and not _is_held(settings, problems):
        return CLASS_NOT_ACCEPTED.at(gateway.key, at, name=name, why=problems[0].message)
    return None
