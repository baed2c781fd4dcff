"""GatewayClass condition SupportedVersion: what the cluster's definitions of Gateway API say of themselves."""

from __future__ import annotations

import pytest

from trilithon.incremental import Edit
from trilithon.model.api_version import ApiVersion
from trilithon.model.settings import Settings
from trilithon.model.tables import API_VERSIONS, CLASSES
from trilithon.pipeline import build
from trilithon.resources.gateways import GatewayClass, GatewayClassSpec
from trilithon.resources.meta import Key
from trilithon.status.class_ import CLASS_STATUS
from trilithon.status.conditions import Condition

CLASS = GatewayClass(Key("GatewayClass", "", "t"), 3, "", GatewayClassSpec(controller_name=Settings().controller_name))
ROUTES, GATEWAYS = "httproutes.gateway.networking.k8s.io", "gateways.gateway.networking.k8s.io"


def conditions(*versions: ApiVersion) -> dict[str, Condition]:
    engine = build(Settings())
    engine.apply([Edit(CLASSES, CLASS.key, CLASS), *(Edit(API_VERSIONS, each.name, each) for each in versions)])
    status = engine.row(CLASS_STATUS, CLASS.key)
    assert status is not None
    return {condition.type: condition for condition in status.conditions}


@pytest.mark.parametrize(
    ("bundle", "is_supported"),
    [
        pytest.param("v1.6.1", True, id="the version this release is made for"),
        pytest.param("v1.6.9", True, id="another patch of it"),
        pytest.param("v1.6.2-rc1", True, id="a candidate of another patch"),
        pytest.param("v1.5.0", False, id="an older one"),
        pytest.param("v1.60.0", False, id="a much newer one"),
        pytest.param("v0.8.1", False, id="one from before v1"),
        pytest.param("", False, id="one that is not told"),
    ],
)
def test_the_bundle_version_decides(bundle: str, is_supported: bool) -> None:
    found = conditions(ApiVersion(ROUTES, bundle, "standard"))
    condition = found["SupportedVersion"]
    expected = ("True", "SupportedVersion") if is_supported else ("False", "UnsupportedVersion")
    assert (condition.status, condition.reason) == expected
    assert condition.observed_generation == 3
    assert found["Accepted"].status == "True", "another version is served as far as it goes"


def test_one_definition_of_another_version_is_named() -> None:
    condition = conditions(ApiVersion(ROUTES, "v1.4.0"), ApiVersion(GATEWAYS, "v1.6.1"))["SupportedVersion"]
    assert condition.status == "False"
    assert "v1.4.0 of httproutes" in condition.message
    assert "gateways" not in condition.message


def test_where_no_definition_is_known_nothing_is_said() -> None:
    assert "SupportedVersion" not in conditions()
