"""``check`` lists every problem with its place, and its exit status says whether there are errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.invoking import json_of, trilithon
from trilithon.cli.printing import MOST_PROBLEMS

HELLO = Path(__file__).parents[2] / "examples" / "hello"
KEYS = {"severity", "code", "object", "path", "message", "hint", "file", "line"}


def test_a_problem_as_json(shop: Path) -> None:
    (problem,) = json_of("check", shop, status=1)
    assert problem == {
        "severity": "error",
        "code": "BackendNotFound",
        "object": "HTTPRoute shop/web",
        "path": "spec.rules[1].backendRefs[0]",
        "message": "Service shop/cart not found",
        "hint": 'a Service "cart" exists in namespace store; a ReferenceGrant there would let this route use it, '
        "with namespace: store",
        "file": f"{shop}/shop.yaml",
        "line": 27,
    }


def test_a_problem_as_text(shop: Path) -> None:
    result = trilithon("check", shop)
    first, hint, summary = result.stdout.splitlines()
    assert result.exit_code == 1
    assert first == (
        f"{shop}/shop.yaml:27: error: HTTPRoute shop/web spec.rules[1].backendRefs[0]: "
        "Service shop/cart not found [BackendNotFound]"
    )
    assert hint.startswith('    hint: a Service "cart" exists in namespace store')
    assert summary == "1 error, 0 warnings in 5 objects"


def test_warnings_alone_are_fine_unless_strict(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n")
    assert [problem["severity"] for problem in json_of("check", tmp_path)] == ["warning"]
    assert trilithon("check", tmp_path, "--strict").exit_code == 1


def test_files_and_objects_are_reported_together_by_file_and_line(shop: Path) -> None:
    (shop / "a.yaml").write_text("a: [1\n")
    (shop / "z.yaml").write_text("kind: Gateway\napiVersion: gateway.networking.k8s.io/v1\nmetadata: {name: bad}\n")
    problems = json_of("check", shop, status=1)
    assert all(set(problem) == KEYS for problem in problems)
    places = [(Path(problem["file"]).name, problem["line"]) for problem in problems]
    assert places == sorted(places)
    assert {name for name, _ in places} == {"a.yaml", "shop.yaml", "z.yaml"}
    assert problems[0]["object"] is None


def test_a_broken_document_costs_only_itself(shop: Path) -> None:
    (shop / "broken.yaml").write_text("a: [1\n")
    codes = {problem["code"] for problem in json_of("check", shop, status=1)}
    assert codes == {"YAMLSyntax", "BackendNotFound"}


def test_an_empty_folder_is_a_warning(tmp_path: Path) -> None:
    (problem,) = json_of("check", tmp_path)
    assert (problem["code"], problem["severity"], problem["file"]) == ("NothingFound", "warning", str(tmp_path))


def test_the_class_exists_without_being_written_and_can_be_written(shop: Path) -> None:
    assert "ClassNotFound" not in {problem["code"] for problem in json_of("check", shop, status=1)}
    (shop / "class.yaml").write_text(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: trilithon}\n"
        "spec: {controllerName: example.com/another}\n"
    )
    # The Gateways are somebody else's then, and so is what is wrong with their routes' parents.
    assert json_of("status", shop)["gateways"] == []


@pytest.mark.parametrize("paths", [(HELLO,), tuple(sorted(HELLO.glob("*.yaml")))], ids=["the folder", "its files"])
def test_the_example_has_no_problems(paths: tuple[Path, ...]) -> None:
    assert json_of("check", *paths, "--strict") == []


def test_the_commented_mistake_of_the_example_is_found_where_it_is(tmp_path: Path) -> None:
    for file in HELLO.glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text().replace("    # - name: pay\n", "    - name: pay\n"))
    routes = (tmp_path / "routes.yaml").read_text()
    lines = routes.splitlines(keepends=True)
    start = lines.index("    - name: pay\n")
    for at in range(start + 1, start + 5):
        lines[at] = lines[at].replace("# ", "", 1)
    (tmp_path / "routes.yaml").write_text("".join(lines))
    (problem,) = json_of("check", tmp_path, status=1)
    assert (problem["code"], problem["line"]) == ("BackendNotFound", start + 5)


THEIRS = """\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: theirs}
spec: {controllerName: example.com/another}
"""


def test_a_gateway_of_another_controllers_class_is_told_everywhere(shop: Path) -> None:
    (shop / "class.yaml").write_text(THEIRS)
    (shop / "shop.yaml").write_text((shop / "shop.yaml").read_text().replace("Name: trilithon", "Name: theirs"))
    said = "GatewayClass theirs belongs to the controller example.com/another, so nothing here serves this Gateway"
    for problems in (json_of("check", shop, status=1), json_of("status", shop)["problems"]):
        (found,) = [each for each in problems if each["object"] == "Gateway infra/gw"]
        assert (found["severity"], found["line"], found["message"]) == ("warning", 5, said)
        assert found["hint"] == (
            "write gatewayClassName: trilithon, or name a GatewayClass with controllerName: "
            "trilithon.dev/gateway-controller"
        )
    answer = trilithon("explain", shop, "GET", "http://shop.test:8080/").stdout
    assert f"no Gateway of ours has a listener; Gateway infra/gw: {said}; write gatewayClassName: trilithon" in answer


def test_thousands_of_problems_are_counted_not_printed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("---\n".join(f"replicaCount: {number}\n" for number in range(1000)))
    lines = trilithon("check", tmp_path).stdout.splitlines()
    assert (len(lines), lines[-2]) == (2 * MOST_PROBLEMS + 2, f"and {1000 - MOST_PROBLEMS} more; -o json lists all")
