"""The finalizer is on a GatewayClass while it is used, and nobody else's is touched."""

from __future__ import annotations

import pytest

from trilithon.kube.objects import ApiKind, ObjectPath
from trilithon.model.stored import Stored
from trilithon.sinks.objects.finalizers import FINALIZER, decide

CLASSES = ApiKind("gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses", is_namespaced=False)
BEFORE, AFTER = "example.com/before", "example.com/after"


@pytest.mark.parametrize(
    ("finalizers", "is_used", "left"),
    [
        ((), True, (FINALIZER,)),
        ((BEFORE,), True, (BEFORE, FINALIZER)),
        ((BEFORE, FINALIZER, AFTER), False, (BEFORE, AFTER)),
        ((FINALIZER,), False, ()),
        ((BEFORE, FINALIZER, AFTER), True, None),
        ((BEFORE, AFTER), False, None),
        ((), False, None),
        ((FINALIZER,), None, None),
    ],
)
def test_only_ours_comes_and_goes(
    finalizers: tuple[str, ...], is_used: bool | None, left: tuple[str, ...] | None
) -> None:
    decision = decide(Stored(ObjectPath(CLASSES, "trilithon"), "u", "1", 1, finalizers), is_used)
    assert decision.body == ({} if left is None else {"metadata": {"finalizers": [*left]}})
