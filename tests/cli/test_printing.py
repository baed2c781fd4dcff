"""What is printed of the words of others cannot steer a terminal, hide in it, or pass for a line of ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.invoking import trilithon
from trilithon.cli.printing import print_json, printable, problem_lines
from trilithon.inspect.overview import ProblemView


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(
            "caf\u00e9 \u2260 \u65e5\u672c", "caf\u00e9 \u2260 \u65e5\u672c", id="letters of any language stay"
        ),
        pytest.param("\x1b[2Jgone", "\\x1b[2Jgone", id="an escape sequence"),
        pytest.param("\x9b2J", "\\x9b2J", id="the same in one character"),
        pytest.param("a\nerror: b", "a\\nerror: b", id="a forged line"),
        pytest.param("a\rb\x7f", "a\\rb\\x7f", id="overwriting"),
        pytest.param("\u202etxt.exe", "\\u202etxt.exe", id="the other direction"),
    ],
)
def test_what_is_not_plain_text_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_problem_is_one_line_and_its_hint_another() -> None:
    bad = "\x1b]0;title\x07\n"
    lines = problem_lines(ProblemView("error", "Code", f"HTTPRoute {bad}", bad, bad, bad, f"{bad}.yaml", 3))
    assert len(lines) == 2
    # Only the program's own colours are left.
    assert not any("\x1b]" in line or "\n" in line or "\x07" in line for line in lines)


MANIFESTS = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: demo}
spec: {gatewayClassName: trilithon, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: demo}
spec:
  parentRefs: [{name: gw}]
  rules:
  - matches: [{headers: [{name: x, type: RegularExpression, value: "(\\e]0;title\\a\\e[2J"}]}]
"""


@pytest.mark.parametrize("command", ["check", "status"])
def test_a_pattern_that_is_none_cannot_write_to_the_terminal(tmp_path: Path, command: str) -> None:
    (tmp_path / "all.yaml").write_text(MANIFESTS)
    shown = trilithon(command, tmp_path).stdout
    assert "\\x1b]0;title" in shown
    assert "\x1b" not in shown


def test_json_is_read_back_and_cannot_write_to_the_terminal_either(capsys: pytest.CaptureFixture[str]) -> None:
    said = "caf\u00e9 \x1b[2J \x9b2J \x7f \u202e \U000e0041 \n"
    print_json({"said": said})
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"said": said}
    assert shown.replace("\n", "").isprintable()
    assert "caf\u00e9" in shown
