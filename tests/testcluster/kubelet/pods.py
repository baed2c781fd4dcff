"""Pods for tests, from as little as matters."""

from __future__ import annotations

from typing import Any

import msgspec

from testcluster.kubelet.objects import Pod, pod_of


def pod(
    *containers: dict[str, Any],
    metadata: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **spec: Any,
) -> Pod:
    """A pod called ``shop/web``, with one container called ``main`` unless others are given."""
    written = {
        "metadata": {"namespace": "shop", "name": "web", "uid": "0000-1", **(metadata or {})},
        "spec": {"containers": list(containers) or [{"name": "main"}], **spec},
        "status": status or {},
    }
    return pod_of(msgspec.json.encode(written))
