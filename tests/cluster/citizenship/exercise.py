"""Everything that a controller ever asks of an API server, brought about: each step needs rights that others do not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from testcluster import Cluster
from testcluster.api import Object
from testcluster.audit import AuditEvent
from tests.cluster.faults.installed import Installed
from tests.cluster.faults.objects import gateway, route, rules, service
from trilithon.infrastructure.installation import AUTHORITY_SECRET
from trilithon.infrastructure.manifest import GENERATED_KINDS
from trilithon.kube.objects import ApiKind
from trilithon.sinks.identity.authority import utc_now
from trilithon.sinks.identity.trust import data_of, new_trust

GATEWAY_API = "gateway.networking.k8s.io/v1"
OTHER = "example.com/other"
OLD = timedelta(days=3000)
"""How old an authority is when another one is about to follow it."""

# The least that the API server takes of each kind.
_POD: Object = {
    "metadata": {"labels": {"app": "mine"}},
    "spec": {"containers": [{"name": "mine", "image": "not-there"}]},
}
_LEAST: dict[str, Object] = {
    "Service": {"spec": {"ports": [{"port": 80}]}},
    "Deployment": {"spec": {"replicas": 0, "selector": {"matchLabels": {"app": "mine"}}, "template": _POD}},
    "PodDisruptionBudget": {"spec": {"selector": {"matchLabels": {"app": "mine"}}}},
    "HorizontalPodAutoscaler": {
        "spec": {"maxReplicas": 1, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "mine"}}
    },
}


class Exercise:
    """The steps, for an installation whose class has a plain name; ``mark`` is where the audit log began."""

    def __init__(self, cluster: Cluster, controllers: Installed, namespace: str, mark: int) -> None:
        self._cluster = cluster
        self._controllers = controllers
        self._namespace = namespace
        self._mark = mark

    def events(self) -> list[AuditEvent]:
        """What the controller has asked so far."""
        return [event for event in self._cluster.audit.read(self._mark) if event.by == self._controllers.account]

    def renew_authority(self) -> None:
        """The authority is old: whoever finds it so lets another follow."""
        path = f"/api/v1/namespaces/{self._controllers.namespace}/secrets/{AUTHORITY_SECRET}"
        self._wait("the authority", lambda: self._cluster.find(path) is not None)
        data = {name: value.decode() for name, value in data_of(new_trust(utc_now() - OLD)).items()}
        self._cluster.api.merge(path, {"data": None, "stringData": data})
        self._controllers.kill()
        self._wait("the next authority", lambda: "next.crt" in self._cluster.get(path)["data"])
        self._controllers.wait_ready()

    def make_and_unmake(self) -> None:
        """A Gateway with all that can be named, its pods counted by us, by an autoscaler, and by us again."""
        counted, scaled = {"replicas": 1}, {"autoscaling": {"maxReplicas": 2}}
        named: list[Object] = [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "certificate"}, "stringData": {"tls.crt": "-"}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "authority"}, "data": {"ca.crt": "-"}},
        ]
        self._apply(*named, self._parameters(counted), self._gateway("edge"))
        self._wait_made("Deployment", "edge")
        self._apply(self._parameters(scaled))
        self._wait_made("HorizontalPodAutoscaler", "edge")
        self._apply(self._parameters(counted))
        self._wait_gone("HorizontalPodAutoscaler", "edge")
        self._apply(self._parameters(scaled))
        self._wait_made("HorizontalPodAutoscaler", "edge")

    def complain_twice(self) -> None:
        """A route is wrong, right, and wrong again in the same way."""
        self._apply(route("wrong", "missing", "edge"), *service("web", 9))
        self._wait_asked("create", "events")
        path = self._path("HTTPRoute", "wrong")
        # Until then there is nothing that a later complaint could repeat.
        self._wait_observed(path)
        for service_name in ("web", "missing"):
            self._cluster.api.merge(path, {"spec": {"rules": rules(service_name)}})
            self._wait_observed(path)
        self._wait_asked("patch", "events")

    def be_in_the_way(self) -> None:
        """For each kind that is generated there is a Gateway for which somebody else's object has the name."""
        for kind in GENERATED_KINDS:
            name = kind.kind.lower()
            api_version = f"{kind.group}/{kind.version}" if kind.group else kind.version
            metadata = {"name": self._generated_name(name)}
            least = _LEAST.get(kind.kind, {})
            self._apply({"apiVersion": api_version, "kind": kind.kind, "metadata": metadata, **least})
            self._apply(self._gateway(name))
            self._wait_asked("get", kind.plural, self._generated_name(name))

    def be_faster(self) -> None:
        """Somebody else writes a route's status without a pause, until we come too late and look anew."""
        path = self._path("HTTPRoute", "wrong")
        stop = threading.Event()

        def write() -> None:
            count = 0
            while not stop.is_set():
                count += 1
                self._cluster.api.merge(path, {"metadata": {"annotations": {"count": str(count)}}})

        writer = threading.Thread(target=write)
        writer.start()
        try:
            self._wait_asked("get", "httproutes", "wrong", again=lambda: self._retouch(path))
        finally:
            stop.set()
            writer.join()

    def leave(self) -> None:
        """The Gateway goes to another controller, and with that what was generated for it."""
        class_ = f"{self._controllers.class_name}-other"
        other: Object = {
            "apiVersion": GATEWAY_API,
            "kind": "GatewayClass",
            "metadata": {"name": class_},
            "spec": {"controllerName": OTHER},
        }
        self._apply(other)
        self._cluster.api.merge(self._path("Gateway", "edge"), {"spec": {"gatewayClassName": class_}})
        try:
            for kind in GENERATED_KINDS:
                self._wait_gone(kind.kind, "edge")
        finally:
            self._cluster.delete(other)

    def begin_again(self) -> None:
        """The API server dies: whoever watched asks whether the one that comes after it knows what was known."""
        self._cluster.kill("kube-apiserver")
        self._cluster.restart("kube-apiserver")
        self._wait_asked("list", "httproutes")
        self._cluster.settle()

    # What there is.

    def _gateway(self, name: str) -> Object:
        made = gateway(name, self._controllers.class_name)
        certificate = {"certificateRefs": [{"name": "certificate"}]}
        made["spec"]["listeners"] += [{"name": "tls", "port": 443, "protocol": "HTTPS", "tls": certificate}]
        authority = {"group": "", "kind": "ConfigMap", "name": "authority"}
        made["spec"]["tls"] = {"frontend": {"default": {"validation": {"caCertificateRefs": [authority]}}}}
        reference = {"group": "trilithon.dev", "kind": "GatewayParameters", "name": "size"}
        made["spec"]["infrastructure"] = {"parametersRef": reference}
        return made

    def _parameters(self, spec: Object) -> Object:
        api_version = "trilithon.dev/v1alpha1"
        return {
            "apiVersion": api_version,
            "kind": "GatewayParameters",
            "metadata": {"name": "size"},
            # Addresses are few.
            "spec": {**spec, "service": {"type": "ClusterIP"}},
        }

    def _generated_name(self, gateway_name: str) -> str:
        return f"{gateway_name}-{self._controllers.class_name}"

    def _path(self, kind: str, name: str) -> str:
        return self._cluster.manifests.path_of(
            {"apiVersion": GATEWAY_API, "kind": kind, "metadata": {"name": name}}, self._namespace
        )

    def _generated(self, kind: str, gateway_name: str) -> Any:
        api: ApiKind = next(each for each in GENERATED_KINDS if each.kind == kind)
        return self._cluster.find(f"{api.path(self._namespace)}/{self._generated_name(gateway_name)}")

    def _apply(self, *what: Object) -> None:
        self._cluster.apply(*what, namespace=self._namespace)

    def _retouch(self, path: str) -> None:
        self._cluster.api.merge(path, {"spec": {"rules": rules("web")}})
        self._cluster.api.merge(path, {"spec": {"rules": rules("missing")}})

    # What is waited for.

    def _wait(self, what: str, look: Callable[[], bool]) -> None:
        self._cluster.wait_for(what, look, 60)

    def _wait_made(self, kind: str, gateway_name: str) -> None:
        self._wait(f"the {kind} of {gateway_name}", lambda: self._generated(kind, gateway_name) is not None)

    def _wait_gone(self, kind: str, gateway_name: str) -> None:
        self._wait(f"no {kind} of {gateway_name}", lambda: self._generated(kind, gateway_name) is None)

    def _wait_observed(self, path: str) -> None:
        def is_observed() -> bool:
            found = self._cluster.get(path)
            parents = (found.get("status") or {}).get("parents") or []
            said = [one for each in parents for one in each["conditions"]]
            return {each["observedGeneration"] for each in said} == {found["metadata"]["generation"]}

        self._wait(f"the status of {path}", is_observed)

    def _wait_asked(self, verb: str, resource: str, name: str = "", again: Callable[[], None] = lambda: None) -> None:
        def is_asked() -> bool:
            again()
            return any(
                (event.verb, event.resource) == (verb, resource) and name in {"", event.name} for event in self.events()
            )

        self._wait(f"{verb} {resource} {name}", is_asked)
