"""The program: help with examples everywhere, wrong use answered in one line, nothing loaded that is not needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cli.invoking import json_of, refusal, trilithon
from trilithon import __version__
from trilithon.cli.main import COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help_with_an_example_and_its_exit_statuses(command: str, option: str) -> None:
    result = trilithon(command, option)
    assert result.exit_code == 0
    assert f"Examples:\n  trilithon {command}" in result.stdout
    assert "Exit status:\n  0" in result.stdout


def test_the_program_without_a_command_shows_the_commands() -> None:
    result = trilithon()
    assert result.exit_code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("chekc",), "did you mean check?"),
        (("serve",), "the commands are run, controller"),
        (("check",), "for example: trilithon check examples/hello"),
        (("check", "/nowhere/at/all"), "does not exist"),
        (("check", ".", "-o", "xml"), "'text', 'json'"),
        (("check", ".", "--stric"), "--strict"),
        (("run", ".", "--address", "localhost"), "is not an IP address"),
        (("run", ".", "--port-offset", "-1"), "0<=x<=65534"),
        (("translate", ".", "--port-offset", "70000"), "0<=x<=65534"),
        (("translate", ".", "--address", "localhost"), "is not an IP address"),
        (("explain", ".", "GET", "http://a/", "--port-offset", "-1"), "0<=x<=65534"),
        (("why", ".", "Pod", "a/b"), "the kinds are GatewayClass, Gateway, HTTPRoute"),
        (("echo", "0"), "1<=x<=65535"),
    ],
)
def test_wrong_use_is_one_line_with_the_mend(arguments: tuple[str, ...], said: str) -> None:
    line = refusal(*arguments)
    assert line.startswith("trilithon")
    assert said in line


def test_version() -> None:
    assert json_of("version") == {"trilithon": __version__, "envoy": "1.40.0", "gatewayAPI": "v1.6.1"}
    assert trilithon("version").stdout.split()[:2] == ["trilithon", __version__]


def test_version_says_what_to_do_without_envoy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRILITHON_ENVOY", "/nowhere/envoy")
    assert json_of("version")["envoy"] is None
    assert "pip install" in trilithon("version").stdout


def test_a_run_without_envoy_is_a_lack_of_the_environment(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRILITHON_ENVOY", "/nowhere/envoy")
    assert "pip install" in refusal("run", shop, status=3)


def test_status_without_a_process_is_a_lack_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert "start one with trilithon run" in refusal("status", status=3)
    assert "none runs" in refusal("status", "--pid", 1)


def test_status_offline(shop: Path) -> None:
    view = json_of("status", shop)
    (gateway,) = view["gateways"]
    assert (gateway["name"], gateway["listeners"][0]["url"]) == ("infra/gw", "http://127.0.0.1:8080/")
    assert [problem["line"] for problem in view["problems"]] == [27]
    text = trilithon("status", shop).stdout
    assert "HTTPRoute shop/web  infra/gw  Accepted, not ResolvedRefs (BackendNotFound)" in text
    assert f"{shop}/shop.yaml:27: error" in text


def test_init_writes_a_folder_without_problems_that_demo_backends_can_serve(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    result = trilithon("init", folder)
    assert result.exit_code == 0
    assert f"trilithon run {folder} --demo-backends" in result.stdout
    assert json_of("check", folder, "--strict") == []
    assert json_of("explain", folder, "GET", "http://127.0.0.1:8080/")["outcome"] == "forward"
    assert "not empty" in refusal("init", folder)
    assert "is a file" in refusal("init", folder / "routes.yaml")


def test_the_comments_of_the_starter_folder_are_true(tmp_path: Path) -> None:
    trilithon("init", tmp_path / "a")
    text = (tmp_path / "a" / "gateway.yaml").read_text()
    enabled = text.replace("    # - name: https", "    - name: https").replace("    #   ", "      ")
    listeners = yaml.safe_load(enabled)["spec"]["listeners"]
    assert [listener["name"] for listener in listeners] == ["http", "https"]


def test_why_and_graph(shop: Path) -> None:
    assert "one services[Service shop/cart]" in trilithon("why", shop, "httproute", "shop/web").stdout
    assert "HTTPRoute shop/web" in refusal("why", shop, "HTTPRoute", "shop/wab")
    assert trilithon("graph").stdout.startswith("flowchart LR\n")
    assert "services -.-> rules" in trilithon("graph", shop).stdout


def test_offline_commands_load_neither_servers_nor_terminals(shop: Path) -> None:
    """What is not imported costs no time; each of these takes longer than the answer."""
    code = (
        "import sys\n"
        "from trilithon.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('grpc', 'aiohttp', 'structlog', 'rich') if name in sys.modules], file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "explain", str(shop), "GET", "http://shop.test:8080/"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert result.stderr == "[]\n"


def test_a_real_process_ends_with_the_status_of_the_command(shop: Path) -> None:
    program = [sys.executable, "-m", "trilithon"]
    result = subprocess.run([*program, "check", str(shop)], capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, result.stderr) == (1, "")
    assert "\x1b" not in result.stdout
    wrong = subprocess.run([*program, "check"], capture_output=True, text=True, check=False, timeout=60)
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)


def test_a_path_that_cannot_be_looked_at_is_one_line() -> None:
    line = refusal("check", "x" * 300, status=3)
    assert line.endswith("x cannot be read: File name too long")


@pytest.mark.parametrize("command", ["check", "translate", "graph"])
def test_a_full_disk_is_one_line(shop: Path, command: str) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "trilithon", command, str(shop)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (result.returncode, result.stderr) == (
        3,
        "trilithon: the output cannot be written: No space left on device\n",
    )


def test_a_reader_that_goes_away_is_no_mistake(shop: Path) -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", "trilithon", "translate", str(shop), "-o", "xds"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert program.stdout is not None
    program.stdout.close()
    assert program.stderr is not None
    assert program.stderr.read() == b""
    program.stderr.close()
    program.wait(30)


def test_the_version_as_other_programs_tell_it() -> None:
    assert trilithon("--version").stdout == f"trilithon {__version__}\n"


def test_the_next_step_of_init_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    folder = tmp_path / "my site"
    assert f"next: trilithon run '{folder}' --demo-backends\n" in trilithon("init", folder).stdout


def test_what_was_shown_is_not_called_free_of_mistakes() -> None:
    for command in ("translate", "why", "graph"):
        assert "\n  0  it worked\n" in trilithon(command, "-h").stdout
