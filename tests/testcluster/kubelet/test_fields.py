"""What a pod may know of itself."""

from __future__ import annotations

from decimal import Decimal

import pytest

from testcluster.kubelet.fields import Place, field_of, quantity, resource_of
from testcluster.kubelet.problems import CannotRun
from testcluster.kubelet.volume_spec import FieldRef, ResourceFieldRef
from tests.testcluster.kubelet.pods import pod

PLACE = Place("10.0.0.2", "10.0.0.1")


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("0", 0),
        ("2", 2),
        ("1.5", Decimal("1.5")),
        ("100m", Decimal("0.1")),
        ("1k", 1000),
        ("1Ki", 1024),
        ("2Gi", 2 * 1024**3),
        ("1e3", 1000),
        ("1E", 10**18),
        ("12E2", 1200),
        ("5n", Decimal("5e-9")),
    ],
)
def test_quantities_are_numbers(written: str, number: Decimal) -> None:
    """In each of their notations."""
    assert quantity(written) == number


def test_what_is_no_quantity_is_refused() -> None:
    """Rather than taken for something."""
    with pytest.raises(ValueError, match="not a quantity"):
        quantity("1 Gi")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web"),
        ("metadata.namespace", "shop"),
        ("metadata.labels['app.kubernetes.io/name']", "x"),
        ("metadata.annotations['none']", ""),
        ("metadata.labels", 'app.kubernetes.io/name="x"\nb="1"'),
        ("metadata.annotations", 'a="say \\"hi\\"\\nthere"'),
        ("status.podIP", "10.0.0.2"),
        ("status.hostIP", "10.0.0.1"),
        ("spec.serviceAccountName", "default"),
    ],
)
def test_fields_are_those_of_the_pod(path: str, value: str) -> None:
    """Maps are written a line each, by key."""
    metadata = {"labels": {"b": "1", "app.kubernetes.io/name": "x"}, "annotations": {"a": 'say "hi"\nthere'}}
    assert field_of(pod(metadata=metadata), PLACE, FieldRef(path)) == value


def test_an_unknown_field_is_said() -> None:
    """The container cannot run."""
    with pytest.raises(CannotRun, match=r"status\.phase"):
        field_of(pod(), PLACE, FieldRef("status.phase"))


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        pytest.param("limits.cpu", "0", "1", id="rounded up"),
        pytest.param("limits.cpu", "1m", "250", id="in thousandths"),
        pytest.param("limits.memory", "1Mi", "64", id="in mebibytes"),
        pytest.param("requests.cpu", "0", "0", id="no request is nothing"),
        pytest.param("limits.ephemeral-storage", "1Gi", "200", id="no limit is the node"),
    ],
)
def test_resources_are_whole_numbers_of_their_divisor(resource: str, divisor: str, value: str) -> None:
    """Of the container that asks, unless another is named."""
    read = pod({"name": "main", "resources": {"limits": {"cpu": "250m", "memory": "64Mi"}}})
    assert resource_of(read, ResourceFieldRef(resource, divisor=divisor), "main") == value
    assert resource_of(read, ResourceFieldRef(resource, container_name="main", divisor=divisor), "other") == value
