"""A stand-in for a cloud's load balancer: gives Services of type LoadBalancer an address, which kube-proxy then serves.

Usage: python -m testcluster.balancer CLUSTER
"""

from __future__ import annotations

import http.client
import sys
import time
from ipaddress import IPv4Address
from typing import Any, Final

from testcluster.api import MERGE_PATCH, Api, ApiError, Object
from testcluster.balancer_pool import Wish, assign
from testcluster.layout import BALANCER_NETWORK, Layout
from testcluster.pki import token_of

CLASS: Final = "testcluster/balancer"
"""The ``spec.loadBalancerClass`` that is ours; one without any is too."""
WATCH_SECONDS: Final = 20
PAUSE: Final = 0.5
"""Seconds after a failure."""


class Balancer:
    """Holds every Service as last seen, and writes the statuses that should be different."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._services: dict[str, Object] = {}
        self._last: IPv4Address | None = None

    def follow(self) -> None:
        """List once, then watch for a while; ends by ApiError or OSError when the API server does not serve."""
        listed = self._api.get("/api/v1/services")
        self._services = {_key(item): item for item in listed["items"]}
        version = listed["metadata"]["resourceVersion"]
        self._settle()
        while True:
            for event in self._api.watch("/api/v1/services", version, WATCH_SECONDS):
                if event["type"] == "ERROR":
                    raise ApiError("watch", event["object"].get("code", 500), event["object"].get("message", ""))
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] == "BOOKMARK":
                    continue
                if event["type"] == "DELETED":
                    self._services.pop(_key(event["object"]), None)
                else:
                    self._services[_key(event["object"])] = event["object"]
                self._settle()

    def _settle(self) -> None:
        wishes = [_wish(service) for service in self._services.values() if _is_ours(service)]
        given = assign(wishes, BALANCER_NETWORK, self._last)
        for key, service in list(self._services.items()):
            if _is_ours(service):
                address = given[key]
            elif service["spec"]["type"] != "LoadBalancer":
                address = None
            else:
                continue
            if address is not None and str(address) != _held(service):
                self._last = address
            self._write(key, service, address)

    def _write(self, key: str, service: Object, address: IPv4Address | None) -> None:
        wanted: list[Any] = [{"ip": str(address), "ipMode": "VIP"}] if address else []
        if wanted == ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress", []):
            return
        metadata = service["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/services/{metadata['name']}/status"
        # The version makes it a write to what was looked at: a Service that changed meanwhile is looked at again.
        patch = {
            "metadata": {"resourceVersion": metadata["resourceVersion"]},
            "status": {"loadBalancer": {"ingress": wanted or None}},
        }
        try:
            self._services[key] = self._api.call("PATCH", path, patch, MERGE_PATCH)
        except ApiError as error:
            if error.status not in {404, 409}:
                raise
            return
        print(f"{key}: {address or 'no address'}", flush=True)


def _key(service: Object) -> str:
    return f"{service['metadata']['namespace']}/{service['metadata']['name']}"


def _is_ours(service: Object) -> bool:
    spec = service["spec"]
    return (
        spec["type"] == "LoadBalancer"
        and spec.get("loadBalancerClass", CLASS) == CLASS
        and "IPv4" in spec.get("ipFamilies", ["IPv4"])
        and "deletionTimestamp" not in service["metadata"]
    )


def _held(service: Object) -> str | None:
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return ingress[0].get("ip") if ingress else None


def _wish(service: Object) -> Wish:
    metadata, spec = service["metadata"], service["spec"]
    return Wish(_key(service), metadata["creationTimestamp"], _held(service), spec.get("loadBalancerIP") or None)


def main(name: str) -> None:
    """Run for ever."""
    layout = Layout.of(name)
    balancer = Balancer(Api(layout, token_of(layout.pki, "balancer")))
    while True:
        try:
            balancer.follow()
        except (ApiError, OSError, http.client.HTTPException) as error:
            print(f"again in {PAUSE} s: {error!r}", flush=True)
            time.sleep(PAUSE)


if __name__ == "__main__":
    main(sys.argv[1])
