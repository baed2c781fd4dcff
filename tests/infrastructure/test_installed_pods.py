"""What the installation says of every Gateway's pods."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.infrastructure.generating import CLASS, SETTINGS, World, gateway
from trilithon.model.settings import ANY_ADDRESS_6, Installation


def installed(**changes: Any) -> World:
    settings = msgspec.structs.replace(SETTINGS, installation=Installation(**changes))
    return World(CLASS, gateway(), settings=settings)


def test_pods_get_their_image_as_the_controller_does() -> None:
    """Its Secrets are the Gateway's namespace's own."""
    pod = installed(image_pull_secrets=("one", "two")).pod["spec"]
    assert pod["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
    assert "imagePullSecrets" not in installed().pod["spec"]


def test_pods_say_that_they_are_ready_at_addresses_of_their_family() -> None:
    (container,) = installed(address=ANY_ADDRESS_6).pod["spec"]["containers"]
    assert container["args"][-2:] == ["--ready-address", "[::]:19003"]
    (container,) = installed().pod["spec"]["containers"]
    assert "--ready-address" not in container["args"]
