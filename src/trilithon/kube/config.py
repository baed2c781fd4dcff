"""Find out how to reach the API server: from a kubeconfig, or from what a pod is given."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from msgspec import Struct

from trilithon.kube.credentials import Credential, Credentials, FileCredentials, FixedCredentials
from trilithon.kube.errors import ConfigError
from trilithon.kube.exec_plugin import ClusterInfo, ExecCredentials
from trilithon.kube.kubeconfig import Cluster, User, decoded, kubeconfig_files, read_kubeconfig
from trilithon.kube.tls import Trust, ca_bytes

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# The name under which a cluster holds the settings for exec plugins.
_EXEC_EXTENSION = "client.authentication.k8s.io/exec"


class Config(Struct, frozen=True, kw_only=True):
    """How to reach one API server, and as whom.

    ``server`` is its address, perhaps with a path; ``namespace`` the default one; ``headers`` those of impersonation;
    ``proxy`` the HTTP proxy in between, "" for none.
    """

    server: str
    credentials: Credentials
    trust: Trust = Trust()
    namespace: str = "default"
    proxy: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    is_compressed: bool = True

    def __repr__(self) -> str:
        """Where, not as whom."""
        return f"Config({self.server!r})"


def find_config(
    kubeconfig: Path | None = None, context: str = "", environment: Mapping[str, str] | None = None
) -> Config:
    """The configuration kubectl would use: the named file, those of KUBECONFIG, the default one, then a pod's.

    Raises ConfigError.
    """
    environment = os.environ if environment is None else environment
    paths = (kubeconfig,) if kubeconfig is not None else kubeconfig_files(environment)
    merged = read_kubeconfig(paths)
    if merged is not None and (merged.contexts or kubeconfig is not None):
        chosen, cluster, user = merged.chosen(context)
        return _config(cluster, user, chosen.namespace or "default", environment)
    if kubeconfig is not None:
        raise ConfigError(f"there is no kubeconfig {kubeconfig}")
    if environment.get("KUBERNETES_SERVICE_HOST") and not context:
        return in_cluster_config(environment)
    looked = ", ".join(map(str, paths))
    raise ConfigError(f"no cluster to talk to: there is no kubeconfig ({looked}), and this is not a pod")


def in_cluster_config(environment: Mapping[str, str] | None = None, folder: Path = SERVICE_ACCOUNT) -> Config:
    """The configuration of a pod, from its service account in ``folder``. Raises ConfigError."""
    environment = os.environ if environment is None else environment
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        raise ConfigError("this is not a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")
    token, ca, namespace = folder / "token", folder / "ca.crt", folder / "namespace"
    for file in (token, ca):
        if not file.is_file():
            raise ConfigError(f"the pod has no service account: {file} is missing")
    return Config(
        # An IPv6 address needs its brackets.
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        credentials=FileCredentials(token=token),
        trust=Trust(ca=ca),
        namespace=namespace.read_text("utf-8").strip() if namespace.is_file() else "default",
    )


def _config(cluster: Cluster, user: User, namespace: str, environment: Mapping[str, str]) -> Config:
    server = cluster.server.rstrip("/")
    parts = urlsplit(server)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("the cluster's server must be an http:// or https:// address")
    if parts.username or parts.password:
        raise ConfigError("the cluster's server must not hold a user name or password")
    trust = _trust(cluster)
    return Config(
        server=server,
        credentials=_credentials(cluster, user, trust, environment),
        trust=trust,
        namespace=namespace,
        proxy=_proxy(cluster.proxy_url, parts.scheme, parts.netloc, environment),
        headers=_impersonation(user),
        is_compressed=not cluster.disable_compression,
    )


def _trust(cluster: Cluster) -> Trust:
    ca: Path | bytes | None = None
    if cluster.certificate_authority_data:
        ca = decoded(cluster.certificate_authority_data, "certificate-authority-data")
    elif cluster.certificate_authority:
        ca = Path(cluster.certificate_authority)
    if cluster.insecure_skip_tls_verify and ca is not None:
        raise ConfigError("insecure-skip-tls-verify and a certificate authority exclude each other")
    return Trust(ca=ca, server_name=cluster.tls_server_name, is_insecure=cluster.insecure_skip_tls_verify)


def _credentials(cluster: Cluster, user: User, trust: Trust, environment: Mapping[str, str]) -> Credentials:
    if user.username or user.password:
        raise ConfigError("the user has a username and password: API servers take none since Kubernetes 1.19")
    if user.auth_provider is not None:
        raise ConfigError("the user has an auth-provider, which Kubernetes 1.26 removed: use an exec plugin")
    certificate = _data_or_file(user.client_certificate_data, user.client_certificate, "client-certificate-data")
    key = _data_or_file(user.client_key_data, user.client_key, "client-key-data")
    if bool(certificate) != bool(key):
        raise ConfigError("the user has only half of a client certificate and its key")
    # As in client-go, a token that is written there makes the plugin superfluous.
    if user.exec is not None and not (user.token or user.token_file):
        if certificate:
            raise ConfigError("the user has both an exec plugin and a client certificate: only one can be used")
        return ExecCredentials(user.exec, _cluster_info(cluster, trust), environment=environment)
    if user.token_file:
        return FileCredentials(token=Path(user.token_file), certificate=certificate, key=key)
    if isinstance(certificate, Path) or isinstance(key, Path):
        return FileCredentials(fixed_token=user.token, certificate=certificate, key=key)
    return FixedCredentials(Credential(user.token, certificate, key))


def _data_or_file(data: str, file: str, what: str) -> Path | bytes:
    """Data wins over a file, as in kubectl."""
    if data:
        return decoded(data, what)
    return Path(file) if file else b""


def _cluster_info(cluster: Cluster, trust: Trust) -> ClusterInfo:
    data = cluster.certificate_authority_data
    if not data and isinstance(trust.ca, Path):
        data = base64.b64encode(ca_bytes(trust) or b"").decode()
    settings = (entry.extension for entry in cluster.extensions or () if entry.name == _EXEC_EXTENSION)
    return ClusterInfo(
        server=cluster.server,
        tls_server_name=cluster.tls_server_name,
        insecure_skip_tls_verify=cluster.insecure_skip_tls_verify,
        certificate_authority_data=data,
        proxy_url=cluster.proxy_url,
        disable_compression=cluster.disable_compression,
        config=next(settings, None),
    )


def _proxy(named: str, scheme: str, host: str, environment: Mapping[str, str]) -> str:
    """The proxy that the kubeconfig names, else that of HTTPS_PROXY and NO_PROXY."""
    proxy = named
    if not proxy and environment is os.environ and not proxy_bypass(host):
        proxy = getproxies().get(scheme, "")
    if proxy and urlsplit(proxy).scheme not in ("http", "https"):
        raise ConfigError("the proxy must be an http:// or https:// address; SOCKS is not supported")
    return proxy


def _impersonation(user: User) -> tuple[tuple[str, str], ...]:
    groups, extra = user.impersonate_groups or [], user.impersonate_extra or {}
    if not user.impersonate:
        if user.impersonate_uid or groups or extra:
            raise ConfigError("as-uid, as-groups and as-user-extra need an `as`")
        return ()
    headers = [("Impersonate-User", user.impersonate)]
    if user.impersonate_uid:
        headers.append(("Impersonate-Uid", user.impersonate_uid))
    headers += [("Impersonate-Group", group) for group in groups]
    for key, values in extra.items():
        # Header names are case-blind and allow few characters.
        headers += [(f"Impersonate-Extra-{quote(key.lower(), safe='')}", value) for value in values]
    if not all(value.isprintable() for _, value in headers):
        raise ConfigError("whom to impersonate has characters that a header cannot carry")
    return tuple(headers)
