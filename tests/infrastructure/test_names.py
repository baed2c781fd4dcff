"""Names of generated objects: valid for every Gateway, and no two Gateways share one."""

from __future__ import annotations

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from trilithon.resources.gateways import Gateway, GatewaySpec
from trilithon.resources.meta import Key
from trilithon.resources.names import label_value_problem, service_name_problem
from trilithon.translate.generated_names import further_name, label_value, object_name

WORDS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,80}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,80}[a-z0-9])?){0,2}", fullmatch=True)
NAMES = WORDS.filter(lambda name: len(name) <= 253)
IDENTITIES = st.tuples(NAMES, st.one_of(st.just("trilithon"), NAMES))


def of(name: str, class_: str) -> Gateway:
    listeners = [{"name": "http", "port": 80, "protocol": "HTTP"}]
    spec = msgspec.convert({"gatewayClassName": class_, "listeners": listeners}, GatewaySpec)
    return Gateway(Key("Gateway", "infra", name), 1, "", spec)


@given(IDENTITIES)
@example(("a" * 253, "trilithon"))
@example(("0", "0"))
@example(("a.b.c", "x"))
def test_every_name_can_be_a_services(identity: tuple[str, str]) -> None:
    gateway = of(*identity)
    assert service_name_problem(object_name(gateway)) == ""
    assert service_name_problem(further_name(gateway, "address 10.0.0.1")) == ""
    assert label_value_problem(label_value(identity[0])) == ""


@given(IDENTITIES, IDENTITIES)
@example(("a-b", "c"), ("a", "b-c"))
@example(("a.b", "c"), ("a-b", "c"))
@example(("x" * 60 + "a", "c"), ("x" * 60 + "b", "c"))
def test_no_two_share_one(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Also not with a further object of another."""
    if one == other:
        return
    assert object_name(of(*one)) != object_name(of(*other))
    assert object_name(of(*one)) != further_name(of(*other), "address 10.0.0.1")
    assert (label_value(one[0]) == label_value(other[0])) == (one[0] == other[0])


@given(IDENTITIES)
def test_what_looks_like_a_shortened_name_is_no_gateways_own(identity: tuple[str, str]) -> None:
    """A Gateway named like another's object gets a name of its own."""
    short = object_name(of(*identity))
    again = of(short.rpartition("-")[0] or short, short.rpartition("-")[2])
    if (again.key.name, again.spec.gateway_class_name) != identity:
        assert object_name(again) != short


def test_short_names_stay_as_they_are() -> None:
    """GEP-1762: '<NAME>-<GATEWAY CLASS>'."""
    assert object_name(of("edge", "trilithon")) == "edge-trilithon"
    assert label_value("edge.example") == "edge.example"
