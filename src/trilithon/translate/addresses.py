"""Find the addresses at which a Gateway is reached, and compare them with those that it asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from ipaddress import ip_address

from msgspec import Struct

from trilithon.incremental import Read
from trilithon.model import gateway_mistakes as mistakes
from trilithon.model.infrastructure import BoundAddress, GatewayAddresses, Unapplied
from trilithon.model.listener import Listeners
from trilithon.model.settings import Settings
from trilithon.model.tables import APPLIED, HOSTS, OURS, SERVICES
from trilithon.resources.core import Service
from trilithon.resources.gateways import Gateway
from trilithon.resources.meta import Key
from trilithon.resources.problem import Problem
from trilithon.translate.classes import generated_services, held, is_generated
from trilithon.translate.endpoints import SLICES_BY_SERVICE
from trilithon.translate.generated_names import further_name, object_name

# What the API allows (Gateway.status.addresses).
MOST_ADDRESSES = 16
# Where they are asked for.
ADDRESSES = "spec.addresses"


class WantedService(Struct, frozen=True, gc=False):
    """A Service of a Gateway; ``address`` is the one it shall have, "" for any."""

    name: str
    address: str = ""


def wanted_services(gateway: Gateway) -> tuple[WantedService, ...]:
    """One Service, and one more for each further address: a load balancer gives a Service one address to ask for."""
    asked = list(dict.fromkeys(value for _, value in _asked(gateway)))
    first, more = asked[:1], asked[1:]
    return (
        WantedService(object_name(gateway), *first),
        *(WantedService(further_name(gateway, f"address {value}"), value) for value in more),
    )


def address_problems(settings: Settings, gateway: Gateway) -> Iterator[Problem]:
    """What can be said of the addresses that a Gateway asks for without looking at anything else."""
    for index, address in enumerate(gateway.spec.addresses):
        if address.type != "IPAddress":
            yield mistakes.ADDRESS_TYPE_UNSUPPORTED.at(gateway.key, f"{ADDRESSES}[{index}].type", type=address.type)
        elif settings.shared_address and address.value and not _same(address.value, settings.address):
            yield _not_usable(gateway, index, address.value, settings.address)


def gateway_addresses_of(settings: Settings, read: Read, listeners: Listeners) -> GatewayAddresses:
    """Where a Gateway of ours is reached now."""
    key = listeners.gateway
    gateway = read.one(OURS, key)
    if settings.shared_address:
        return GatewayAddresses(key, (_ip(settings.address),))
    if gateway is None:
        return GatewayAddresses(key, ())
    if settings.has_hosts:
        return _of_process(read, gateway)
    return _of_services(settings, read, gateway, listeners)


def _of_process(read: Read, gateway: Gateway) -> GatewayAddresses:
    host = read.one(HOSTS, gateway.key)
    if host is None:
        problem = mistakes.ADDRESS_NOT_ASSIGNED.at(gateway.key, ADDRESSES, why="its process has none")
        return GatewayAddresses(gateway.key, (), (problem,))
    refused = [
        _not_usable(gateway, index, value, host.address)
        for index, value in _asked(gateway)
        if not _same(value, host.address)
    ]
    return GatewayAddresses(gateway.key, (_ip(host.address),), tuple(refused))


def _of_services(settings: Settings, read: Read, gateway: Gateway, listeners: Listeners) -> GatewayAddresses:
    wanted = wanted_services(gateway)
    applied = read.one(APPLIED, gateway.key)
    foreign = {each.object for each in (applied.unapplied if applied else ()) if each.cause == "foreign"}
    services = [_service(settings, read, gateway, each.name, foreign) for each in wanted]
    why_held = held(settings, read, gateway)
    if why_held is not None and not any(services):
        # Those that serve on have the name of the class before.
        before = generated_services(settings, read, gateway)
        services += [each for each in before if str(each.key) not in foreign]
    has = [_addresses(read, service) for service in services]
    found = tuple(dict.fromkeys(address for each in has for address in each))[:MOST_ADDRESSES]
    problems = [_unapplied(gateway, each) for each in (applied.unapplied if applied else ())]
    problems += _not_obtained(gateway, wanted, has)
    if not found and not problems:
        problems.append(_not_assigned(gateway, wanted[0].name, services[0], why_held))
    problems += _behind(gateway, listeners, [each for each in services if each is not None])
    return GatewayAddresses(gateway.key, found, tuple(problems))


def _service(settings: Settings, read: Read, gateway: Gateway, name: str, foreign: Collection[str]) -> Service | None:
    """The Service that was generated under this name; another's says nothing of this Gateway.

    Labels and owners can be written by anyone. Whoever applies knows more, and tells what is ``foreign``.
    """
    service = read.one(SERVICES, Key("Service", gateway.key.namespace, name))
    if service is None or str(service.key) in foreign or not is_generated(settings, service):
        return None
    return service if service.gateway == gateway.key.name else None


def _addresses(read: Read, service: Service | None) -> tuple[BoundAddress, ...]:
    """The addresses of what runs, whatever parameters say now: they may be gone, or refused."""
    if service is None:
        return ()
    if service.spec.type == "LoadBalancer":
        return tuple(
            _ip(point.ip) if point.ip else BoundAddress("Hostname", point.hostname)
            for point in service.load_balancer
            if point.ip or point.hostname
        )
    if service.on_nodes:
        # The pods' addresses are those of their nodes.
        endpoints = [each for row in read.group(SLICES_BY_SERVICE, service.key) for each in row.endpoints]
        return tuple(sorted({_ip(each.addresses[0]) for each in endpoints if each.conditions.ready is not False}))
    return (_ip(service.spec.cluster_ip),) if service.spec.cluster_ip not in ("", "None") else ()


def _not_obtained(
    gateway: Gateway, wanted: Sequence[WantedService], has: Sequence[tuple[BoundAddress, ...]]
) -> Iterator[Problem]:
    for index, value in _asked(gateway):
        place = next(place for place, each in enumerate(wanted) if each.address == value)
        if not any(_same(value, each.value) for addresses in has for each in addresses):
            got = ", ".join(each.value for each in has[place]) or "none"
            at = f"{ADDRESSES}[{index}].value"
            name = f"{gateway.key.namespace}/{wanted[place].name}"
            yield mistakes.ADDRESS_NOT_OBTAINED.at(gateway.key, at, value=value, service=name, has=got)


def _not_assigned(gateway: Gateway, name: str, service: Service | None, why_held: Problem | None) -> Problem:
    path = f"{gateway.key.namespace}/{name}"
    if service is None and why_held is not None:
        why = why_held.message
    elif service is None:
        why = f"Service {path} is not there yet"
    elif service.spec.type == "LoadBalancer":
        why = f"no load balancer has given one to Service {path}; without any, set service.type in GatewayParameters"
    else:
        why = f"Service {path} has none"
    return mistakes.ADDRESS_NOT_ASSIGNED.at(gateway.key, ADDRESSES, why=why)


def _behind(gateway: Gateway, listeners: Listeners, services: Sequence[Service]) -> Iterator[Problem]:
    """The ports of listeners that a Service lacks: Envoy serves them, and nobody gets there."""
    needed = {listener.port for listener in listeners.items if listener.serves}
    for service in services:
        missing = sorted(needed - {port.port for port in service.spec.ports})
        if missing:
            ports = ", ".join(map(str, missing))
            yield mistakes.SERVICE_BEHIND.at(gateway.key, "spec.listeners", service=service.key.path, ports=ports)


def _unapplied(gateway: Gateway, each: Unapplied) -> Problem:
    mistake = mistakes.GENERATED_FOREIGN if each.cause == "foreign" else mistakes.GENERATED_REFUSED
    return mistake.at(gateway.key, "spec", object=each.object, why=each.why)


def _not_usable(gateway: Gateway, index: int, value: str, address: str) -> Problem:
    return mistakes.ADDRESS_NOT_USABLE.at(gateway.key, f"{ADDRESSES}[{index}].value", value=value, address=address)


def _asked(gateway: Gateway) -> Iterable[tuple[int, str]]:
    """The values asked for, with their places; an empty one means any address (GatewaySpecAddress.value)."""
    return [
        (index, address.value)
        for index, address in enumerate(gateway.spec.addresses)
        if address.type == "IPAddress" and address.value
    ]


def _same(one: str, other: str) -> bool:
    try:
        return ip_address(one) == ip_address(other)
    except ValueError:
        return one == other


def _ip(address: str) -> BoundAddress:
    return BoundAddress("IPAddress", address)
