"""Where a Gateway of a cluster is reached (Gateway.spec.addresses and .status.addresses)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest

from tests.infrastructure.generating import (
    CLASS,
    GATEWAY,
    OF_CLASS,
    OWN,
    SETTINGS,
    World,
    gateway,
    gateway_class,
    http,
    parameters,
    service,
)
from trilithon.incremental import Edit
from trilithon.model.infrastructure import BoundAddress, Host, Unapplied
from trilithon.model.tables import HOSTS, OURS
from trilithon.resources.core import Service
from trilithon.resources.decode import decode
from trilithon.resources.meta import Key
from trilithon.translate.addresses import wanted_services
from trilithon.xds.tables import ENVOY_LISTENERS

IP = {"ip": "10.0.0.7"}
PARAMETERS, CLASS_KEY = Key("GatewayParameters", "system", "all"), Key("GatewayClass", "", "trilithon")


def programmed(world: World) -> tuple[str, str]:
    condition = world.condition("Programmed")
    return condition.status, condition.reason


def test_a_gateway_without_an_address_is_not_programmed() -> None:
    """GatewayReasonAddressNotAssigned: 'have yet to dynamically assign addresses'."""
    world = World(CLASS, gateway())
    assert programmed(world) == ("False", "AddressNotAssigned")
    world.show(service())
    assert programmed(world) == ("False", "AddressNotAssigned")
    world.show(service(ingress=[IP, {"hostname": "lb.example.com"}]))
    assert programmed(world) == ("True", "Programmed")
    assert world.reached.addresses == (
        BoundAddress("IPAddress", "10.0.0.7"),
        BoundAddress("Hostname", "lb.example.com"),
    )


@pytest.mark.parametrize("changes", [{"manager": "Helm"}, {"installation": "other.trilithon"}, {"owner": "other"}])
def test_another_service_of_that_name_lends_no_address(changes: dict[str, Any]) -> None:
    """Only what this installation made for this Gateway leads to its Envoys."""
    world = World(CLASS, gateway(), service(ingress=[IP], **changes))
    assert world.values == []


def test_what_is_found_to_be_anothers_lends_no_address() -> None:
    """Labels and owners can be copied; whoever applies knows the uid."""
    world = World(CLASS, gateway(), service(ingress=[IP]))
    world.applied(Unapplied("Service infra/gw-trilithon", "foreign", "why"))
    assert world.values == []
    world.applied(Unapplied("Service infra/gw-trilithon", "refused", "why"))
    assert world.values == ["10.0.0.7"], "it is there, and an older one"


@pytest.mark.parametrize("type_", ["ClusterIP", "NodePort"])
def test_without_a_load_balancer_the_address_is_the_services_own(type_: str) -> None:
    world = World(CLASS, gateway(), service(type=type_, cluster_ip="10.96.0.9"))
    assert world.values == ["10.96.0.9"]


ON_NODES = parameters("system/all", hostNetwork=True)
NODES = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {"namespace": "infra", "name": "s", "labels": {"kubernetes.io/service-name": "gw-trilithon"}},
    "addressType": "IPv4",
    "endpoints": [
        {"addresses": ["192.0.2.2"], "conditions": {"ready": True}},
        {"addresses": ["192.0.2.1"]},
        {"addresses": ["192.0.2.3"], "conditions": {"ready": False}},
    ],
    "ports": [{"name": "tcp-80", "port": 80}],
}


def in_place(world: World) -> dict[str, Any]:
    """The Service that was generated, as the API server holds it then."""
    written = world.manifest("Service")
    held = service(type=written["spec"]["type"], cluster_ip="10.96.0.9")
    return {**held, "metadata": {**written["metadata"], "ownerReferences": held["metadata"]["ownerReferences"]}}


def on_nodes() -> World:
    world = World(gateway_class(parametersRef=OF_CLASS), gateway(), ON_NODES, NODES)
    world.show(in_place(world))
    return world


def test_pods_in_the_nodes_network_are_reached_at_their_nodes() -> None:
    assert on_nodes().values == ["192.0.2.1", "192.0.2.2"]


REFUSED = gateway(infrastructure={**OWN, "labels": {}})
OTHERWISE = parameters("system/all", replicas=2)


@pytest.mark.parametrize(
    ("shown", "dropped"),
    [
        pytest.param((), (PARAMETERS,), id="the parameters are deleted"),
        pytest.param((), (CLASS_KEY,), id="the class is deleted"),
        pytest.param((), (PARAMETERS, CLASS_KEY), id="both"),
        pytest.param((REFUSED, OTHERWISE), (), id="the parameters change while the Gateway is refused"),
    ],
)
def test_what_runs_in_the_nodes_network_and_is_held_is_reached_at_its_nodes(
    shown: tuple[dict[str, Any], ...], dropped: tuple[Key, ...]
) -> None:
    """What runs stays as it is; clients that follow a name must not be led away from it."""
    world = on_nodes()
    for each in shown:
        world.show(each)
    for key in dropped:
        world.drop(key)
    assert world.row is not None
    assert world.row.is_held
    assert world.values == ["192.0.2.1", "192.0.2.2"]


def test_what_leaves_the_nodes_network_is_reached_at_its_service() -> None:
    world = on_nodes()
    world.show(parameters("system/all", service={"type": "ClusterIP"}))
    world.show(in_place(world))
    assert world.values == ["10.96.0.9"]


def test_only_a_generated_service_tells_of_the_nodes_network() -> None:
    written = in_place(on_nodes())
    strange = {**written, "metadata": {**written["metadata"], "labels": {}}}
    row = decode(strange).resource
    assert isinstance(row, Service)
    assert not row.on_nodes


def test_an_address_type_that_is_not_supported_refuses_the_gateway() -> None:
    """GatewayReasonUnsupportedAddress."""
    world = World(CLASS, gateway(addresses=[{"type": "test/fake", "value": "x"}, {"value": "10.0.0.7"}]))
    assert (world.condition("Accepted").status, world.condition("Accepted").reason) == ("False", "UnsupportedAddress")


def test_an_empty_value_asks_for_any_address() -> None:
    """GatewaySpecAddress.value: 'if unspecified, an address will be assigned'."""
    world = World(CLASS, gateway(addresses=[{"type": "IPAddress"}]), service(ingress=[IP]))
    assert programmed(world) == ("True", "Programmed")
    assert "loadBalancerIP" not in world.manifest("Service")["spec"]


def test_what_was_asked_for_and_not_obtained_is_said_and_costs_nothing_else() -> None:
    """GatewayReasonAddressNotUsable; the Gateway stays accepted, and the address that it has is told."""
    world = World(CLASS, gateway(addresses=[{"value": "192.0.2.9"}]), service())
    assert world.condition("Accepted").status == "True"
    assert programmed(world) == ("False", "AddressNotUsable")
    assert world.manifest("Service")["spec"]["loadBalancerIP"] == "192.0.2.9"
    world.show(service(ingress=[IP]))
    assert (programmed(world), world.values) == (("False", "AddressNotUsable"), ["10.0.0.7"])
    world.show(service(ingress=[{"ip": "192.0.2.9"}]))
    assert programmed(world) == ("True", "Programmed")


def test_each_further_address_has_a_service_of_its_own() -> None:
    """All of them have to be obtained."""
    asked = [{"value": "192.0.2.1"}, {"type": "IPAddress"}, {"value": "192.0.2.2"}]
    world = World(CLASS, gateway(addresses=asked))
    row = world.engine.row(OURS, GATEWAY)
    assert row is not None
    first, second = wanted_services(row)
    assert [each["spec"]["loadBalancerIP"] for each in world.manifests("Service")] == ["192.0.2.1", "192.0.2.2"]
    world.show(service(first.name, ingress=[{"ip": "192.0.2.1"}]))
    assert programmed(world) == ("False", "AddressNotUsable")
    world.show(service(second.name, ingress=[{"ip": "192.0.2.2"}]))
    assert (programmed(world), world.values) == (("True", "Programmed"), ["192.0.2.1", "192.0.2.2"])


def test_nobody_takes_an_address_by_naming_it() -> None:
    """No generated Service has external IPs: with them any address's traffic could be taken."""
    asked = [{"value": "192.0.2.1"}, {"value": "192.0.2.2"}]
    for type_ in ("LoadBalancer", "NodePort", "ClusterIP"):
        tuned = parameters("infra/own", service={"type": type_})
        world = World(CLASS, gateway(addresses=asked, infrastructure=OWN), tuned)
        assert all("externalIPs" not in each["spec"] for each in world.manifests("Service"))


def test_a_gateway_is_programmed_when_its_service_has_all_ports() -> None:
    """Envoy alone is not enough: nobody gets to a port that the Service lacks."""
    world = World(CLASS, gateway(), service(ingress=[IP]))
    world.show(gateway(http(80), http(8080)))
    assert programmed(world) == ("False", "Pending")
    world.show(service(ingress=[IP], ports=(80, 8080)))
    assert programmed(world) == ("True", "Programmed")


@pytest.mark.parametrize(("cause", "reason"), [("foreign", "Invalid"), ("refused", "NoResources")])
def test_what_could_not_be_applied_is_said(cause: Literal["foreign", "refused"], reason: str) -> None:
    """An object of that name that is not ours; a quota."""
    world = World(CLASS, gateway(), service(ingress=[IP]))
    world.applied(Unapplied("Service infra/gw-trilithon", cause, "why"))
    assert programmed(world) == ("False", reason)
    assert "Service infra/gw-trilithon" in world.condition("Programmed").message
    world.applied()
    assert programmed(world) == ("True", "Programmed")


def test_local_processes_have_the_addresses_that_they_are_given() -> None:
    """Envoy binds it, the status tells it, and no other can be asked for."""
    settings = msgspec.structs.replace(SETTINGS, installation=None, address="127.0.0.1")
    world = World(CLASS, gateway(addresses=[{"value": "127.0.1.9"}]), settings=settings)
    assert world.row is None
    assert programmed(world) == ("False", "AddressNotAssigned")
    # Without one it binds nothing, instead of every address of the machine.
    assert not world.engine.rows(ENVOY_LISTENERS)
    world.engine.apply([Edit(HOSTS, GATEWAY, Host("127.0.1.5"))])
    assert (programmed(world), world.values) == (("False", "AddressNotUsable"), ["127.0.1.5"])
    (listener,) = world.engine.rows(ENVOY_LISTENERS).values()
    assert b"127.0.1.5" in b"".join(listener.chunks)
