"""How ``trilithon controller`` refuses to be used."""

from __future__ import annotations

import pytest

from tests.cli.invoking import refusal, trilithon
from trilithon.cli.controller import command
from trilithon.model.settings import CONTROLLER_NAME


@pytest.mark.parametrize("named", [(), ("--controller-name", CONTROLLER_NAME)], ids=["no name", "an installation's"])
def test_local_processes_never_pose_as_an_installation(named: tuple[str, ...]) -> None:
    """Their Lease is another one, so both would write: loopback addresses into the statuses of real Gateways."""
    # Refused before any cluster is looked for.
    said = refusal("controller", "--infrastructure", "processes", "--kubeconfig", "/none", *named)
    assert "--infrastructure processes needs a --controller-name of its own" in said
    assert "loopback addresses" in said


def test_local_processes_with_a_name_of_their_own_look_for_their_cluster() -> None:
    own = ("--controller-name", "example.com/mine", "--kubeconfig", "/none")
    assert "/none" in refusal("controller", "--infrastructure", "processes", *own, status=3)


@pytest.mark.parametrize("example", [each for each in command.examples if "processes" in each])
def test_the_examples_are_not_refused_as_wrong_use(example: str) -> None:
    arguments = example.partition("#")[0].split()[1:]
    assert trilithon(*arguments, "--kubeconfig", "/none").exit_code == 3
