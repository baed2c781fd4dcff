"""Exec plugins run as real commands.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
from pathlib import Path

import pytest

from trilithon.kube.config import find_config
from trilithon.kube.credentials import Credential, Credentials
from trilithon.kube.errors import ConfigError, CredentialError
from trilithon.kube.exec_plugin import ExecCredentials
from trilithon.kube.kubeconfig import Exec

V1, V1BETA1 = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"
SECRET = "s3cr3t-canary"


def plugin(folder: Path, script: str) -> str:
    file = folder / "plugin"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


def says(status: dict[str, str], api_version: str = V1) -> str:
    return f"echo '{json.dumps({'apiVersion': api_version, 'kind': 'ExecCredential', 'status': status})}'"


def credentials(command: str, api_version: str = V1, mode: str = "Never") -> ExecCredentials:
    return ExecCredentials(
        Exec(command, api_version, interactive_mode=mode, install_hint="Get it at example.test."), timeout=30
    )


@pytest.mark.parametrize("api_version", [V1, V1BETA1])
async def test_a_plugin_gives_a_token_or_a_client_certificate(tmp_path: Path, api_version: str) -> None:
    command = plugin(tmp_path, says({"token": "t"}, api_version))
    assert await credentials(command, api_version).current() == Credential("t")
    status = {"clientCertificateData": "C", "clientKeyData": "K"}
    command = plugin(tmp_path, says(status, api_version))
    assert await credentials(command, api_version).current() == Credential("", b"C", b"K")


async def test_a_plugin_is_told_of_the_cluster_and_gets_its_arguments_and_variables(tmp_path: Path) -> None:
    script = 'printf "%s %s" "$1" "$COLOUR" > told; printf "%s" "$KUBERNETES_EXEC_INFO" > info\n' + says({"token": "t"})
    (tmp_path / "config").write_text(f"""
current-context: x
clusters:
- name: c
  cluster:
    server: https://api
    extensions: [{{name: client.authentication.k8s.io/exec, extension: {{audience: gold}}}}]
users:
- name: u
  user:
    exec: {{apiVersion: {V1}, command: ./plugin, args: [one], env: [{{name: COLOUR, value: red}}],
            interactiveMode: Never, provideClusterInfo: true}}
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
""")
    plugin(tmp_path, script.replace("> ", f"> {tmp_path}/"))
    config = find_config(tmp_path / "config", environment=os.environ.copy())
    assert await config.credentials.current() == Credential("t")
    assert (tmp_path / "told").read_text() == "one red"
    info = json.loads((tmp_path / "info").read_text())
    assert (info["apiVersion"], info["kind"]) == (V1, "ExecCredential")
    assert info["spec"] == {"interactive": False, "cluster": {"server": "https://api", "config": {"audience": "gold"}}}


async def test_a_credential_is_kept_until_it_expires_or_is_refused(tmp_path: Path) -> None:
    now = 0.0
    count = tmp_path / "count"
    script = f"echo x >> {count}\n" + says({"token": "t", "expirationTimestamp": "1970-01-01T01:00:00Z"})
    exec_ = Exec(plugin(tmp_path, script), V1, interactive_mode="Never")
    provider = ExecCredentials(exec_, wall_clock=lambda: now)

    def runs() -> int:
        return len(count.read_text().split())

    first, *_ = await asyncio.gather(*(provider.current() for _ in range(5)))
    assert runs() == 1, "those who ask at once share one run"
    now = 3500.0
    await provider.current()
    assert runs() == 1
    now = 3595.0
    await provider.current()
    assert runs() == 2
    now = 10.0
    assert provider.refuse(first)
    await provider.current()
    assert runs() == 3


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param(f"echo {SECRET}", "printed no ExecCredential", id="not JSON"),
        pytest.param(f"echo {SECRET}; exit 3", "exit status 3", id="a failure"),
        pytest.param(says({}), "neither a token nor a client certificate", id="nothing"),
        pytest.param(says({"clientCertificateData": SECRET}), "only half", id="half a certificate"),
        pytest.param(says({"token": SECRET}, V1BETA1), "another version", id="another version"),
        pytest.param(says({"token": SECRET, "expirationTimestamp": "soon"}), "time of expiry", id="expiry"),
    ],
)
async def test_a_plugin_that_fails_is_named_and_its_output_is_not(tmp_path: Path, script: str, reason: str) -> None:
    command = plugin(tmp_path, script)
    with pytest.raises(CredentialError, match=reason) as failed:
        await credentials(command).current()
    assert command in str(failed.value)
    assert SECRET not in str(failed.value)


async def test_a_plugin_that_is_not_installed_says_how_to_get_it() -> None:
    with pytest.raises(CredentialError, match=r'"no-such-plugin" was not found. Get it at example.test\.'):
        await credentials("no-such-plugin").current()


async def test_a_plugin_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # A child that holds the fifo open: reading it ends when the child does.
    script = f"(exec 3> {fifo}; echo up >&3; sleep 60) &\nwait"
    provider = ExecCredentials(Exec(plugin(tmp_path, script), V1, interactive_mode="Never"), timeout=3.0)
    reading = asyncio.create_task(asyncio.to_thread(fifo.read_bytes))
    try:
        with pytest.raises(CredentialError, match=r"did not answer within 3 s"):
            await provider.current()
        async with asyncio.timeout(20):
            assert await reading == b"up\n"
    finally:
        # Where nobody ever wrote to it, the reader still waits for that.
        with contextlib.suppress(OSError):
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))


async def test_a_plugin_that_must_ask_people_needs_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(CredentialError, match="needs a terminal"):
        await credentials(plugin(tmp_path, says({"token": "t"})), mode="Always").current()


@pytest.mark.parametrize("mode", ["", "Sometimes"])
def test_a_v1_plugin_says_whether_it_asks_people(mode: str) -> None:
    with pytest.raises(ConfigError, match="interactiveMode"):
        credentials("x", mode=mode)


def test_exec_credentials_are_credentials() -> None:
    provider: Credentials = credentials("x")
    assert repr(provider) == "ExecCredentials('x', None)"
