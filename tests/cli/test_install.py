"""What ``trilithon install`` prints, and how it refuses values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.invoking import refusal, trilithon


def printed(*arguments: object) -> list[dict[str, Any]]:
    result = trilithon("install", *arguments)
    assert result.exit_code == 0, result.output
    return list(yaml.safe_load_all(result.stdout))


def values(folder: Path, text: str) -> Path:
    file = folder / "values.yaml"
    file.write_text(text)
    return file


def test_the_manifests_come_in_an_order_in_which_each_finds_what_it_needs() -> None:
    kinds = [document["kind"] for document in printed()]
    assert kinds == [
        "Namespace",
        "CustomResourceDefinition",
        "CustomResourceDefinition",
        "ServiceAccount",
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
        "Service",
        "Deployment",
        "PodDisruptionBudget",
        "GatewayClass",
    ]


def test_the_same_is_printed_each_time() -> None:
    assert trilithon("install").stdout == trilithon("install").stdout


def test_a_namespace_on_the_command_line_wins_over_that_of_the_values(tmp_path: Path) -> None:
    file = values(tmp_path, "namespace: a")
    assert printed("--values", file)[0]["metadata"]["name"] == "a"
    assert printed("--values", file, "--namespace", "b")[0]["metadata"]["name"] == "b"


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null"])
def test_a_file_without_values_changes_nothing(tmp_path: Path, text: str) -> None:
    assert printed("--values", values(tmp_path, text)) == printed()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: b", ":1: a: there is no such value"),
        ("image: a\nreplica: 3", ":2: replica: there is no such value (did you mean replicas?)"),
        ("---\n# more\nreplicas: 0", ":3: replicas: the number 0 is not between 1 and 20"),
        ("xdsPort: '1'", ':1: xdsPort: expected a number, got the text "1" (remove the quotes)'),
        ("image: a b", ':1: image: "a b" is not the name of an image'),
        ("namespace: A", ':1: namespace: "A" is not a name of at most 63 lower-case letters, digits and inner dashes'),
        (
            "resources:\n  requests: {cpu: '2'}\n  limits: {cpu: '1'}",
            ":2: resources.requests.cpu: the request of cpu is above its limit",
        ),
        (
            "resources:\n  limits:\n    cpus: '1'",
            ":3: resources.limits.cpus: there is no such value (did you mean cpu?)",
        ),
        ("labels:\n  a: 1", ":2: labels[a]: expected a text, got the number 1 (put it in quotes)"),
        ("holdVanishedSeconds: -1", ":1: holdVanishedSeconds: "),
        ("watchNamespaces: [a, B]", ':1: watchNamespaces[1]: "B" is not a name of at most'),
        (
            "namespaceSelector:\n  matchExpressions: [{key: a, operator: Is}]",
            ":1: namespaceSelector: operator 'Is' is none of",
        ),
        ("imagePullSecrets: [A]", ':1: imagePullSecrets[0]: "A" is not a name'),
        ("addressFamily: IPv5", ':1: addressFamily: "IPv5" is '),
        ("- a", ":1: expected a mapping, got a list"),
        ("a: b: c", ":1: "),
        ("image: a\n---\nimage: b", ":3: values are one document, and here begins another"),
    ],
)
def test_a_mistake_in_the_values_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    file = values(tmp_path, text)
    line = refusal("install", "--values", file)
    assert line.startswith(f"trilithon: {file}{told}")


def test_every_mistake_is_told(tmp_path: Path) -> None:
    file = values(tmp_path, "replicas: 0\nxdsPort: 0\n")
    result = trilithon("install", "--values", file)
    assert (result.exit_code, result.stdout) == (2, "")
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == [f"{file}:1", f"{file}:2"]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert refusal("install", "--values", tmp_path / "none.yaml").endswith("cannot be read: No such file or directory")


def test_a_namespace_that_is_none_is_told() -> None:
    assert refusal("install", "--namespace", "A.b").startswith('trilithon: --namespace: "A.b" is not a name')
