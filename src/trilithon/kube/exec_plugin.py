"""Credentials from an exec plugin: a command of a cloud provider that prints a token or a client certificate.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from trilithon.kube.credentials import Credential
from trilithon.kube.errors import ConfigError, CredentialError
from trilithon.kube.kubeconfig import Exec

API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_MODES = ("Never", "IfAvailable", "Always")
TIMEOUT_SECONDS = 60.0
# Somebody may have to type a password.
INTERACTIVE_TIMEOUT_SECONDS = 300.0
# A credential is replaced a little before it expires, so that no request carries an expired one.
EARLY_SECONDS = 10.0

WallClock = Callable[[], float]


class ClusterInfo(Struct, rename="kebab", omit_defaults=True):
    """What a plugin is told of the cluster where its ``provideClusterInfo`` is set."""

    server: str
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False
    certificate_authority_data: str = ""
    proxy_url: str = ""
    disable_compression: bool = False
    config: Any = None


class _Status(Struct, rename="camel"):
    expiration_timestamp: str | None = None
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""


class _ExecCredential(Struct, rename="camel"):
    api_version: str
    kind: str = ""
    status: _Status | None = None


class ExecCredentials:
    """Runs the plugin when there is no credential, when the last one expires, and when the server refuses it.

    One at a time, off the event loop. ``wall_clock`` gives seconds since 1970, because plugins name a time of day.
    """

    def __init__(
        self,
        plugin: Exec,
        cluster: ClusterInfo | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT_SECONDS,
        wall_clock: WallClock = time.time,
    ) -> None:
        self._plugin = _checked(plugin)
        self._cluster = cluster
        self._environment = os.environ if environment is None else environment
        self._timeout = timeout
        self._wall_clock = wall_clock
        self._last: Credential | None = None
        self._expires = float("inf")
        self._running = asyncio.Lock()

    def __repr__(self) -> str:
        return f"ExecCredentials({self._plugin.command!r}, {self._last!r})"

    async def current(self) -> Credential:
        """The last credential while it lasts, else a new one."""
        async with self._running:
            if self._last is None or self._wall_clock() >= self._expires - EARLY_SECONDS:
                status = await self._run()
                self._last, self._expires = self._credential(status), self._expiry(status)
            return self._last

    def refuse(self, refused: Credential) -> bool:
        """Run the plugin again, unless that has been done since ``refused`` was given out."""
        if self._last == refused:
            self._last = None
        return True

    async def _run(self) -> _Status:
        command, interactive = self._plugin.command, _is_interactive(self._plugin)
        timeout = INTERACTIVE_TIMEOUT_SECONDS if interactive else self._timeout
        try:
            process = await asyncio.create_subprocess_exec(
                command,
                *(self._plugin.args or ()),
                stdin=None if interactive else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                # Plugins say there what they want of people, as under kubectl; it is not read here.
                stderr=None,
                env=self._variables(interactive),
                # What a plugin started ends with it; one that asks people needs the terminal's own group.
                start_new_session=not interactive,
            )
        except FileNotFoundError:
            hint = f" {self._plugin.install_hint.strip()}" if self._plugin.install_hint else ""
            raise CredentialError(f'exec plugin "{command}" was not found.{hint}') from None
        except OSError as error:
            raise CredentialError(f'exec plugin "{command}" cannot be run: {error.strerror}') from None
        try:
            async with asyncio.timeout(timeout):
                answer, _ = await process.communicate()
        except TimeoutError:
            raise CredentialError(f'exec plugin "{command}" did not answer within {timeout:g} s') from None
        finally:
            await _end(process, is_group=not interactive)
        if process.returncode != 0:
            raise CredentialError(f'exec plugin "{command}" failed with exit status {process.returncode}')
        return self._status(answer)

    def _variables(self, interactive: bool) -> dict[str, str]:
        spec: dict[str, Any] = {"interactive": interactive}
        if self._plugin.provide_cluster_info and self._cluster is not None:
            spec["cluster"] = self._cluster
        told = {"apiVersion": self._plugin.api_version, "kind": "ExecCredential", "spec": spec}
        return {
            **self._environment,
            "KUBERNETES_EXEC_INFO": msgspec.json.encode(told).decode(),
            **{variable.name: variable.value for variable in self._plugin.env or ()},
        }

    def _status(self, answer: bytes) -> _Status:
        command = self._plugin.command
        try:
            credential = msgspec.json.decode(answer, type=_ExecCredential)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            # The answer is a secret, even where it is not understood.
            raise CredentialError(f'exec plugin "{command}" printed no ExecCredential') from None
        if credential.api_version != self._plugin.api_version:
            message = f'answered in another version than "{self._plugin.api_version}"'
            raise CredentialError(f'exec plugin "{command}" {message}')
        status = credential.status
        if status is None or not (status.token or status.client_certificate_data):
            raise CredentialError(f'exec plugin "{command}" gave neither a token nor a client certificate')
        if bool(status.client_certificate_data) != bool(status.client_key_data):
            raise CredentialError(f'exec plugin "{command}" gave only half of a client certificate and its key')
        return status

    def _credential(self, status: _Status) -> Credential:
        return Credential(
            status.token.strip(), status.client_certificate_data.encode(), status.client_key_data.encode()
        )

    def _expiry(self, status: _Status) -> float:
        if status.expiration_timestamp is None:
            return float("inf")
        try:
            expires = datetime.fromisoformat(status.expiration_timestamp)
        except ValueError:
            raise CredentialError(f'exec plugin "{self._plugin.command}" names no valid time of expiry') from None
        return (expires if expires.tzinfo is not None else expires.replace(tzinfo=UTC)).timestamp()


def _checked(plugin: Exec) -> Exec:
    if plugin.api_version not in API_VERSIONS:
        message = f'has apiVersion "{plugin.api_version}"; supported are {" and ".join(API_VERSIONS)}'
        raise ConfigError(f'exec plugin "{plugin.command}" {message}')
    if not plugin.command:
        raise ConfigError("an exec plugin of the kubeconfig has no command")
    if not plugin.interactive_mode and plugin.api_version == API_VERSIONS[0]:
        raise ConfigError(f'exec plugin "{plugin.command}" must set interactiveMode')
    if plugin.interactive_mode and plugin.interactive_mode not in _MODES:
        message = f'has interactiveMode "{plugin.interactive_mode}"; it may be {", ".join(_MODES)}'
        raise ConfigError(f'exec plugin "{plugin.command}" {message}')
    return plugin


def _is_interactive(plugin: Exec) -> bool:
    """Whether the plugin may ask people. Raises CredentialError if it must and cannot."""
    mode = plugin.interactive_mode or "IfAvailable"
    is_terminal = sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()
    if mode == "Always" and not is_terminal:
        raise CredentialError(f'exec plugin "{plugin.command}" needs a terminal, and there is none')
    return is_terminal and mode != "Never"


async def _end(process: asyncio.subprocess.Process, *, is_group: bool) -> None:
    """End the plugin if it still runs: it was too slow, or nobody waits for it any more."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        if is_group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    await process.wait()
