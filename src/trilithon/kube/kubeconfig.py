"""Read kubeconfig files and merge them as kubectl does.

https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/: the first file to set a value
or a name wins, and relative paths begin at the folder of the file that holds them. No error quotes a file's content.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct, field

from trilithon.kube.errors import ConfigError

# Within the home folder.
DEFAULT_PATH = ".kube/config"


class _Part(Struct, rename="kebab"):
    """Base of the parts of a kubeconfig, which holds secrets: shown by its type alone."""

    def __repr__(self) -> str:
        """The type, not the content."""
        return f"{type(self).__name__}(...)"


class NamedExtension(_Part):
    """Data that other tools keep in a kubeconfig."""

    name: str
    extension: Any = None


class Cluster(_Part):
    """An API server and how to trust it."""

    server: str = ""
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    proxy_url: str = ""
    disable_compression: bool = False
    extensions: list[NamedExtension] | None = None


class ExecVariable(_Part):
    """An environment variable for an exec plugin."""

    name: str
    value: str = ""


class Exec(_Part):
    """A command that prints a credential."""

    command: str
    api_version: str = field(default="", name="apiVersion")
    args: list[str] | None = None
    env: list[ExecVariable] | None = None
    install_hint: str = field(default="", name="installHint")
    provide_cluster_info: bool = field(default=False, name="provideClusterInfo")
    interactive_mode: str = field(default="", name="interactiveMode")


class User(_Part):
    """A credential, or where to get one, and whom to impersonate."""

    token: str = ""
    token_file: str = field(default="", name="tokenFile")
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    username: str = ""
    password: str = ""
    auth_provider: Any = None
    exec: Exec | None = None
    impersonate: str = field(default="", name="as")
    impersonate_uid: str = field(default="", name="as-uid")
    impersonate_groups: list[str] | None = field(default=None, name="as-groups")
    impersonate_extra: dict[str, list[str]] | None = field(default=None, name="as-user-extra")


class Context(_Part):
    """A cluster, a user and a default namespace under one name."""

    cluster: str = ""
    user: str = ""
    namespace: str = ""


class _NamedCluster(_Part):
    name: str
    cluster: Cluster | None = None


class _NamedUser(_Part):
    name: str
    user: User | None = None


class _NamedContext(_Part):
    name: str
    context: Context | None = None


class _File(_Part):
    current_context: str = ""
    clusters: list[_NamedCluster] | None = None
    users: list[_NamedUser] | None = None
    contexts: list[_NamedContext] | None = None


class Kubeconfig(Struct):
    """All files together; every path in it is absolute or begins at the working folder."""

    current_context: str = ""
    clusters: dict[str, Cluster] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    contexts: dict[str, Context] = field(default_factory=dict)

    def __repr__(self) -> str:
        """The names of the contexts, not the content."""
        return f"Kubeconfig(contexts={sorted(self.contexts)})"

    def chosen(self, context: str = "") -> tuple[Context, Cluster, User]:
        """The context of that name, or the current one, with what it refers to. Raises ConfigError."""
        name = context or self.current_context
        known = ", ".join(sorted(self.contexts)) or "none"
        if not name:
            raise ConfigError(f"the kubeconfig has no current-context; its contexts are: {known}")
        if name not in self.contexts:
            raise ConfigError(f'the kubeconfig has no context "{name}"; its contexts are: {known}')
        chosen = self.contexts[name]
        if chosen.cluster not in self.clusters:
            raise ConfigError(f'context "{name}" names cluster "{chosen.cluster}", which the kubeconfig does not have')
        if chosen.user and chosen.user not in self.users:
            raise ConfigError(f'context "{name}" names user "{chosen.user}", which the kubeconfig does not have')
        return chosen, self.clusters[chosen.cluster], self.users.get(chosen.user, User())


def kubeconfig_files(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """The files to read where none is named: those of KUBECONFIG, else the default one."""
    listed = environment.get("KUBECONFIG", "")
    # A list of empty entries is as good as none; colons at the ends are usual.
    paths = tuple(dict.fromkeys(Path(entry) for entry in listed.split(":") if entry))
    home = environment.get("HOME", "")
    # A pod's user may have no home.
    return paths or ((Path(home, DEFAULT_PATH),) if home else ())


def read_kubeconfig(paths: Sequence[Path]) -> Kubeconfig | None:
    """Those of the files that exist, merged; None if none does. Raises ConfigError for one that cannot be read."""
    merged: Kubeconfig | None = None
    for path in paths:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError(f"cannot read kubeconfig {path}: {error.strerror or 'unknown error'}") from None
        merged = merged or Kubeconfig()
        _merge(merged, _parsed(content, path), path.parent)
    return merged


def decoded(data: str, what: str) -> bytes:
    """The bytes of a ``...-data`` field. Raises ConfigError."""
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError(f"{what} of the kubeconfig is not base64") from None


def _parsed(content: bytes, path: Path) -> _File:
    try:
        document = yaml.load(content, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark is not None else ""
        raise ConfigError(f"kubeconfig {path}{where}: not YAML") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError(f"kubeconfig {path}: not YAML") from None
    try:
        return msgspec.convert(document if document is not None else {}, _File)
    except msgspec.ValidationError as error:
        # Names the field and the type, never the value.
        raise ConfigError(f"kubeconfig {path}: {error}") from None


def _merge(merged: Kubeconfig, file: _File, folder: Path) -> None:
    """Add what is not there yet."""
    merged.current_context = merged.current_context or file.current_context
    for named_cluster in file.clusters or ():
        cluster = named_cluster.cluster or Cluster()
        cluster.certificate_authority = _within(folder, cluster.certificate_authority)
        merged.clusters.setdefault(named_cluster.name, cluster)
    for named_user in file.users or ():
        user = named_user.user or User()
        user.client_certificate = _within(folder, user.client_certificate)
        user.client_key = _within(folder, user.client_key)
        user.token_file = _within(folder, user.token_file)
        # A bare name is searched in PATH.
        if user.exec is not None and "/" in user.exec.command:
            user.exec.command = _within(folder, user.exec.command)
        merged.users.setdefault(named_user.name, user)
    for named_context in file.contexts or ():
        merged.contexts.setdefault(named_context.name, named_context.context or Context())


def _within(folder: Path, path: str) -> str:
    return str(folder / path) if path else ""
