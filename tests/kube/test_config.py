"""Every form of a kubeconfig, and what a pod is given; the sentences are those of the Kubernetes documentation.

https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import trustme

from trilithon.kube.config import Config, find_config, in_cluster_config
from trilithon.kube.credentials import Credential, FileCredentials
from trilithon.kube.errors import ConfigError, CredentialError
from trilithon.kube.tls import ca_bytes, tls_context

SECRET = "s3cr3t-canary"


def kubeconfig(cluster: str = "server: https://api:6443", user: str = "token: t", context: str = "") -> str:
    return f"""
current-context: here
clusters: [{{name: c, cluster: {{{cluster}}}}}]
users: [{{name: u, user: {{{user}}}}}]
contexts: [{{name: here, context: {{cluster: c, user: u{context}}}}}]
"""


def found(folder: Path, text: str, **environment: str) -> Config:
    file = folder / "config"
    file.write_text(text)
    return find_config(file, environment=environment)


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


async def test_a_token_and_a_namespace(tmp_path: Path) -> None:
    config = found(tmp_path, kubeconfig(context=", namespace: shop"))
    assert (config.server, config.namespace) == ("https://api:6443", "shop")
    assert await config.credentials.current() == Credential("t")


async def test_the_first_file_to_set_a_value_or_a_name_wins(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    first, second = tmp_path / "sub" / "first", tmp_path / "second"
    first.write_text("current-context: one\nusers: [{name: u, user: {tokenFile: token}}]\nclusters: null\n")
    (tmp_path / "sub" / "token").write_text("from-first\n")
    second.write_text(
        "current-context: two\n"
        "users: [{name: u, user: {token: from-second}}, {name: v, user: {token: v}}]\n"
        "clusters: [{name: c, cluster: {server: 'https://c'}}]\n"
        "contexts: [{name: one, context: {cluster: c, user: u}}, {name: two, context: {cluster: c, user: v}}]\n"
    )
    environment = {"KUBECONFIG": f":{first}:{tmp_path / 'absent'}:{second}:"}
    assert await find_config(environment=environment).credentials.current() == Credential("from-first")
    assert await find_config(context="two", environment=environment).credentials.current() == Credential("v")


def test_without_a_named_file_the_default_one_is_read(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(kubeconfig())
    assert find_config(environment={"HOME": str(tmp_path)}).server == "https://api:6443"


def test_data_wins_over_a_file_and_files_lie_beside_their_kubeconfig(tmp_path: Path) -> None:
    config = found(tmp_path, kubeconfig("server: https://api, certificate-authority: ca.pem"))
    assert config.trust.ca == tmp_path / "ca.pem"
    both = f"server: https://api, certificate-authority: ca.pem, certificate-authority-data: {b64(b'PEM')}"
    assert found(tmp_path, kubeconfig(both)).trust.ca == b"PEM"


async def test_client_certificates_as_data_and_as_files(tmp_path: Path) -> None:
    user = f"client-certificate-data: {b64(b'C')}, client-key-data: {b64(b'K')}"
    assert await found(tmp_path, kubeconfig(user=user)).credentials.current() == Credential("", b"C", b"K")
    (tmp_path / "c.pem").write_bytes(b"C2")
    (tmp_path / "k.pem").write_bytes(b"K2")
    user = "client-certificate: c.pem, client-key: k.pem, token: t"
    assert await found(tmp_path, kubeconfig(user=user)).credentials.current() == Credential("t", b"C2", b"K2")


def test_what_else_a_cluster_and_a_user_may_say(tmp_path: Path) -> None:
    cluster = (
        "server: https://10.0.0.1/base/, tls-server-name: api.test, proxy-url: 'http://proxy:3128', "
        "insecure-skip-tls-verify: true, disable-compression: true"
    )
    user = "as: jane, as-uid: '7', as-groups: [dev, ops], as-user-extra: {Example.com/Scope: [a, b]}"
    config = found(tmp_path, kubeconfig(cluster, user))
    assert config.server == "https://10.0.0.1/base"
    assert (config.trust.server_name, config.trust.is_insecure) == ("api.test", True)
    assert (config.proxy, config.is_compressed) == ("http://proxy:3128", False)
    assert config.headers == (
        ("Impersonate-User", "jane"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "dev"),
        ("Impersonate-Group", "ops"),
        ("Impersonate-Extra-example.com%2Fscope", "a"),
        ("Impersonate-Extra-example.com%2Fscope", "b"),
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(kubeconfig(user=f"username: u, password: {SECRET}"), "take none since", id="basic auth"),
        pytest.param(kubeconfig(user="auth-provider: {name: gcp}"), "use an exec plugin", id="auth provider"),
        pytest.param(kubeconfig(user=f"client-key-data: {b64(b'K')}"), "only half", id="a key alone"),
        pytest.param(kubeconfig(user=f"client-key-data: '{SECRET}!', client-certificate: c"), "base64", id="base64"),
        pytest.param(kubeconfig(user="as-groups: [a]"), "need an `as`", id="groups of nobody"),
        pytest.param(kubeconfig("server: ftp://api"), "http:// or https://", id="scheme"),
        pytest.param(kubeconfig(f"server: 'https://u:{SECRET}@api'"), "user name or password", id="user in server"),
        pytest.param(kubeconfig("server: https://a, proxy-url: 'socks5://p'"), "SOCKS", id="socks"),
        pytest.param(
            kubeconfig("server: https://a, insecure-skip-tls-verify: true, certificate-authority: ca"),
            "exclude each other",
            id="insecure with an authority",
        ),
        pytest.param(
            kubeconfig().replace("here\n", "gone\n"), 'no context "gone"; its contexts are: here', id="context"
        ),
        pytest.param(kubeconfig().replace("current-context", "x"), "no current-context", id="no current context"),
        pytest.param(kubeconfig().replace("name: c,", "name: d,"), 'names cluster "c"', id="cluster"),
        pytest.param(kubeconfig().replace("name: u,", "name: v,"), 'names user "u"', id="user"),
        pytest.param(f"users:\n- name: u\n  user: {{token: [{SECRET}\n", "not YAML", id="not YAML"),
        pytest.param(kubeconfig(user=f"token: [{SECRET}]"), "Expected `str`, got `array`", id="a wrong type"),
        pytest.param(
            kubeconfig(user="exec: {command: x, apiVersion: client.authentication.k8s.io/v1alpha1}"),
            "v1alpha1",
            id="an old exec plugin",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason_and_without_secrets(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason.replace("(", r"\(")) as refused:
        found(tmp_path, text)
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


def test_no_secret_is_in_any_repr(tmp_path: Path) -> None:
    config = found(tmp_path, kubeconfig(user=f"token: {SECRET}"))
    assert SECRET not in repr(config)
    assert SECRET not in repr(config.credentials)
    assert SECRET not in repr(Credential(SECRET, SECRET.encode(), SECRET.encode()))


def test_without_any_cluster_the_places_looked_at_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no kubeconfig \(.*/\.kube/config\), and this is not a pod"):
        find_config(environment={"HOME": str(tmp_path)})
    with pytest.raises(ConfigError, match="there is no kubeconfig /absent"):
        find_config(Path("/absent"), environment={"HOME": str(tmp_path)})


def service_account(folder: Path) -> Path:
    for name, content in (("token", "first\n"), ("ca.crt", "PEM"), ("namespace", "infra")):
        (folder / name).write_text(content)
    return folder


async def test_a_pod_uses_its_service_account(tmp_path: Path) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    config = in_cluster_config(environment, service_account(tmp_path))
    assert (config.server, config.namespace) == ("https://[fd00::1]:443", "infra")
    assert ca_bytes(config.trust) == b"PEM"
    assert await config.credentials.current() == Credential("first")


def test_a_pod_without_a_service_account_is_told_so(tmp_path: Path) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(ConfigError, match="token is missing"):
        in_cluster_config(environment, tmp_path)


async def test_a_token_file_is_read_again_after_a_minute_and_when_refused(tmp_path: Path) -> None:
    now = 0.0
    file = tmp_path / "token"
    file.write_text("one")
    credentials = FileCredentials(token=file, clock=lambda: now)
    one = await credentials.current()
    file.write_text("two")
    now = 59.0
    assert await credentials.current() == one
    now = 61.0
    two = await credentials.current()
    assert two == Credential("two")
    file.write_text("three")
    assert credentials.refuse(one), "somebody else read it again meanwhile"
    assert await credentials.current() == two
    assert credentials.refuse(two)
    assert await credentials.current() == Credential("three")
    file.unlink()
    now = 200.0
    assert await credentials.current() == Credential("three"), "the last token that could be read is used"


async def test_a_token_file_that_was_never_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="No such file"):
        await FileCredentials(token=tmp_path / "absent").current()


def test_a_client_certificate_must_fit_its_key_and_need_no_password() -> None:
    authority = trustme.CA()
    one, two = authority.issue_cert("a.test"), authority.issue_cert("b.test")
    certificate = one.cert_chain_pems[0].bytes()
    tls_context(None, Credential("", certificate, one.private_key_pem.bytes()), is_insecure=False)
    with pytest.raises(ConfigError, match="do not fit together"):
        tls_context(None, Credential("", certificate, two.private_key_pem.bytes()), is_insecure=False)
    with pytest.raises(ConfigError, match="no sound PEM"):
        tls_context(b"nonsense", Credential(), is_insecure=False)
