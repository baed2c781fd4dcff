"""Laws of stored objects with any change: each is read, nothing breaks, and what is not understood opens nothing."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.resources.test_laws import EXAMPLES, places
from trilithon.model.rule import Refuse
from trilithon.model.settings import Installation, Settings
from trilithon.model.tables import ATTACHMENTS, LISTENERS, RULES
from trilithon.pipeline import translate
from trilithon.resources.decode import decode
from trilithon.resources.flaw import WHOLE, listener_part
from trilithon.resources.gateways import Gateway
from trilithon.resources.kinds import KINDS
from trilithon.resources.routes import HTTPRoute
from trilithon.resources.stored import ObjectReader
from trilithon.status.problems import GATEWAY_PROBLEMS, ROUTE_PROBLEMS

READERS = {kind.name: ObjectReader(kind) for kind in KINDS}
CLUSTER = Settings(shared_address=False, private_backends=False, installation=Installation("trilithon-system", "it"))
BY_KIND = {each["kind"]: {**each, "metadata": {"name": "gw", "namespace": "shop"}} for each in EXAMPLES[:3]}
BY_KIND["GatewayClass"]["metadata"] = {"name": "t"}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.text("aA1./-*", max_size=4)
    | st.sampled_from(["Future", "Exact", "HTTPS", "Selector", "type", "port", "URLRewrite"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "name", "port", "path", "value", "filters"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def changed(data: st.DataObject, written: dict[str, Any]) -> dict[str, Any]:
    """The document with one to three places of its spec changed, removed or repeated."""
    found = copy.deepcopy(written)
    for _ in range(data.draw(st.integers(1, 3))):
        if not (where := places(found["spec"])):
            break
        container, key = data.draw(st.sampled_from(where))
        match data.draw(st.sampled_from(["change", "remove", "repeat"])):
            case "change":
                container[key] = data.draw(JSON)
            case "remove":
                del container[key]
            case "repeat" if isinstance(container, list):
                container.append(copy.deepcopy(container[key]))
    return found


@settings(max_examples=300)
@given(data=st.data(), kind=st.sampled_from(sorted(BY_KIND)))
def test_what_is_not_understood_opens_nothing(data: st.DataObject, kind: str) -> None:
    written = {**BY_KIND, kind: changed(data, BY_KIND[kind])}
    read = {name: READERS[name](msgspec.json.encode(each)) for name, each in written.items()}
    found: Any = read[kind].resource
    is_refused = decode(written[kind]).refused
    if found is None:
        assert is_refused
        assert any(each.severity == "error" for each in read[kind].problems)
        return
    if not is_refused:
        assert found.flaws == ()
    translated = translate([each.resource for each in read.values()], CLUSTER)
    engine = translated.engine
    assert not engine.faults
    parts = {flaw.part for flaw in found.flaws}
    if isinstance(found, HTTPRoute):
        rules, attachments = engine.row(RULES, found.key), engine.row(ATTACHMENTS, found.key)
        assert rules is not None
        assert attachments is not None
        if WHOLE in parts:
            assert rules.items == ()
            assert not any(parent.attachments for parent in attachments.parents)
        for rule in rules.items:
            inside = [part for part in parts if part.split(".matches")[0] == f"spec.rules[{rule.index}]"]
            assert not inside or isinstance(rule.action, Refuse)
            assert not parts & {f"spec.rules[{rule.index}].matches[{match.index}]" for match in rule.matches}
        told = engine.row(ROUTE_PROBLEMS, found.key) if attachments.parents else None
    elif isinstance(found, Gateway):
        listeners = engine.row(LISTENERS, found.key)
        if listeners is None:
            return
        lost = [each for each in listeners.items if listener_part(each.key.name) in parts]
        assert not any(each.serves for each in lost)
        told = engine.row(GATEWAY_PROBLEMS, found.key)
    else:
        return
    if told is not None or (isinstance(found, Gateway) and parts):
        assert told is not None
        assert {flaw.path for flaw in found.flaws} <= {each.path for each in told.items}, "each is told"
