"""``translate`` prints statuses as a cluster would hold them, and Envoy's resources without any secret."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import trustme
import yaml

from tests.cli.invoking import trilithon


def documents(*arguments: object) -> list[dict[str, object]]:
    result = trilithon("translate", *arguments)
    assert result.exit_code == 0, result.output
    return list(yaml.safe_load_all(result.stdout))


def test_every_object_with_a_status_is_one_document(shop: Path) -> None:
    found = documents(shop, "-o", "status")
    assert [list(document) for document in found] == [["apiVersion", "kind", "metadata", "status"]] * 2
    assert [(document["kind"], document["metadata"]) for document in found] == [
        ("Gateway", {"namespace": "infra", "name": "gw"}),
        ("HTTPRoute", {"namespace": "shop", "name": "web"}),
    ]


def test_a_class_that_is_written_gets_its_status(shop: Path) -> None:
    (shop / "class.yaml").write_text(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: trilithon}\n"
        "spec: {controllerName: trilithon.dev/gateway-controller}\n"
    )
    (class_,) = [document for document in documents(shop, "-o", "status") if document["kind"] == "GatewayClass"]
    assert class_["metadata"] == {"name": "trilithon"}
    status = class_["status"]
    assert isinstance(status, dict)
    names = [feature["name"] for feature in status["supportedFeatures"]]
    assert names == sorted(names)
    assert names


def test_envoy_resources_are_one_document_for_each_gateway(shop: Path) -> None:
    (document,) = documents(shop, "-o", "xds")
    assert list(document) == ["gateway", "clusters", "endpoints", "listeners", "routeTables"]
    assert document["gateway"] == "infra/gw"
    clusters = document["clusters"]
    assert isinstance(clusters, list)
    assert [cluster["name"] for cluster in clusters] == ["Backend/shop/next", "Backend/shop/web"]


def test_the_same_manifests_give_the_same_text(shop: Path) -> None:
    assert trilithon("translate", shop, "-o", "xds").stdout == trilithon("translate", shop, "-o", "xds").stdout


def test_problems_are_hinted_at_beside_the_output(shop: Path) -> None:
    result = trilithon("translate", shop, "-o", "status")
    assert result.stderr == "1 problem; trilithon check lists them\n"


@pytest.fixture
def https(shop: Path) -> tuple[Path, list[str]]:
    """The folder with an HTTPS listener, and the lines of text that must never be printed."""
    issued = trustme.CA().issue_cert("shop.test")
    key, chain = issued.private_key_pem.bytes(), b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    encoded = {"tls.crt": base64.b64encode(chain).decode(), "tls.key": base64.b64encode(key).decode()}
    (shop / "secret.yaml").write_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: cert, namespace: infra}\ntype: kubernetes.io/tls\n"
        f"data: {{tls.crt: {encoded['tls.crt']}, tls.key: {encoded['tls.key']}}}\n"
    )
    gateway = (shop / "shop.yaml").read_text()
    listener = "    - {name: tls, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}\n---\n"
    (shop / "shop.yaml").write_text(gateway.replace("---\n", listener, 1))
    lines = [line for line in (key + chain).decode().splitlines() if not line.startswith("---")]
    doubly = [base64.b64encode(blob).decode()[:40] for blob in (key, chain)]
    return shop, [*lines, *encoded.values(), *doubly]


def test_no_byte_of_a_key_is_printed_by_any_command(https: tuple[Path, list[str]]) -> None:
    folder, secrets = https
    outputs = [
        trilithon("translate", folder, "-o", "xds"),
        trilithon("translate", folder, "-o", "status"),
        trilithon("translate", folder),
        trilithon("check", folder),
        trilithon("status", folder, "-o", "json"),
        trilithon("explain", folder, "GET", "https://shop.test:8443/", "-o", "json"),
        trilithon("why", folder, "Gateway", "infra/gw"),
    ]
    assert "secrets:" in outputs[0].stdout
    for result in outputs:
        for secret in secrets:
            assert secret not in result.output


def test_the_summary_counts(shop: Path) -> None:
    lines = [line.split() for line in trilithon("translate", shop).stdout.splitlines()]
    assert ["HTTPRoute", "1"] in lines
    assert ["infra/gw", "2", "2", "0", "1", "1"] in [line[:6] for line in lines]
