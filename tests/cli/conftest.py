"""Folders of manifests to run commands on."""

from __future__ import annotations

from pathlib import Path

import pytest

SHOP = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: infra}
spec:
  gatewayClassName: trilithon
  listeners:
    - name: http
      port: 8080
      protocol: HTTP
      allowedRoutes: {namespaces: {from: All}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  parentRefs:
    - {name: gw, namespace: infra}
  hostnames: [shop.test]
  rules:
    - name: home
      backendRefs:
        - {group: trilithon.dev, kind: Backend, name: web, weight: 3}
        - {group: trilithon.dev, kind: Backend, name: next}
    - name: cart
      matches: [{path: {value: /cart}}]
      backendRefs:
        - {name: cart, port: 80}
    - name: old
      matches: [{path: {value: /old}}]
      filters:
        - type: RequestRedirect
          requestRedirect: {hostname: new.test, statusCode: 301}
---
apiVersion: trilithon.dev/v1alpha1
kind: Backend
metadata: {name: web, namespace: shop}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: 9001}}]}
---
apiVersion: trilithon.dev/v1alpha1
kind: Backend
metadata: {name: next, namespace: shop}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: 9002}}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: store}
spec: {ports: [{port: 80}]}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with one mistake: the Service of /cart is in another namespace."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shop.yaml").write_text(SHOP)
    return folder
