"""The four people of Gateway API on one cluster, each with no more than the role of ``deploy/roles`` gives.

What the API server's rights cannot refuse, because it is said inside an object that its author may write, the
controller refuses: to attach where a listener does not take routes from, to refer where no grant says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from testcluster import Cluster
from testcluster.api import MERGE_PATCH, Object
from tests.cluster.citizenship.town import GATEWAY_API, Town, namespace_of
from tests.cluster.faults.objects import gateway, route, service

ROLES = Path(__file__).parents[3] / "deploy/roles"
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
RBAC = "rbac.authorization.k8s.io"
EVERYWHERE = ("infrastructure-provider", "cluster-operator")
IN_THE_APPLICATION = ("application-admin", "application-developer")
SHARED_BY_LABEL = {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"shared": "yes"}}}}


class Person(Struct, frozen=True):
    """Somebody, as the API server sees them."""

    cluster: Cluster
    name: str

    def ask(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> int:
        """The status of the answer."""
        headers = {"Impersonate-User": self.name}
        return self.cluster.api.request(method, path, body, content_type, headers=headers)[0]

    def merge(self, path: str, patch: object) -> int:
        """The status of the answer to a change."""
        return self.ask("PATCH", path, patch, MERGE_PATCH)

    def may(self, verb: str, resource: str, namespace: str = "", group: str = "", name: str = "") -> bool:
        """What the API server says when they ask what they may do."""
        attributes = {"verb": verb, "resource": resource, "namespace": namespace, "group": group, "name": name}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        # Everybody who has logged in may ask this.
        headers = {"Impersonate-User": self.name, "Impersonate-Group": "system:authenticated"}
        status, answer = self.cluster.api.request("POST", REVIEW, body, headers=headers)
        assert status == 201, answer
        return bool(msgspec.json.decode(answer)["status"]["allowed"])

    def kubectl(self, *argv: str, stdin: str = "") -> str:
        """What kubectl says, refusals included."""
        answer = self.cluster.run_in_hub(["kubectl", "--as", self.name, *argv], check=False, stdin=stdin)
        return answer.stdout + answer.stderr


class Place(Struct, frozen=True):
    """A namespace of the operator, one of an application, one of another application; and who is about."""

    town: Town
    operators: str
    application: str
    other: str
    people: Mapping[str, Person]

    @property
    def operator(self) -> Person:
        return self.people["cluster-operator"]

    @property
    def developer(self) -> Person:
        return self.people["application-developer"]

    def path(self, plural: str, namespace: str, name: str = "") -> str:
        """The path of a Gateway API object, or of a collection."""
        collection = f"{GATEWAY_API}/namespaces/{namespace}/{plural}"
        return f"{collection}/{name}" if name else collection

    def reason(self, route_name: str, type_: str) -> str:
        """Why a condition of a route's only parent is as it is; "" as long as nothing is said of the last version."""
        found = self.town.cluster.get(self.path("httproutes", self.application, route_name))
        for parent in (found.get("status") or {}).get("parents") or []:
            for each in parent["conditions"]:
                if each["type"] == type_ and each["observedGeneration"] == found["metadata"]["generation"]:
                    return str(each["reason"])
        return ""

    def wait_reason(self, route_name: str, type_: str, reason: str) -> None:
        """Wait until a condition is so for that reason."""
        what = f"{type_} of {route_name} to be {reason}"
        self.town.cluster.wait_for(what, lambda: self.reason(route_name, type_) == reason, 60)

    def wait_rights(self) -> None:
        """Wait until everybody has theirs: the API server hears of a role a moment after it is stored."""
        group = "gateway.networking.k8s.io"
        # One right of each tells of all that come with the same role.
        signs: dict[str, Callable[[Person], bool]] = {
            "infrastructure-provider": lambda each: each.may("update", "gatewayclasses", group=group),
            "cluster-operator": lambda each: each.may("create", "gateways", self.operators, group),
            "application-admin": lambda each: each.may("create", "gateways", self.application, group),
            "application-developer": lambda each: each.may("create", "httproutes", self.application, group),
        }
        for name, has_rights in signs.items():
            self.town.cluster.wait_for(f"rights of the {name}", partial(has_rights, self.people[name]))


@pytest.fixture(scope="module")
def place(town: Town) -> Iterator[Place]:
    """Everybody in their place. The operator has a Gateway that takes routes from namespaces with a label."""
    cluster, prefix = town.cluster, town.controllers.namespace
    people = {name: Person(cluster, f"{prefix}-{name}") for name in (*EVERYWHERE, *IN_THE_APPLICATION)}
    roles = [ROLES / f"{name}.yaml" for name in people]
    with ExitStack() as stack:
        names = [stack.enter_context(namespace_of(cluster, f"{prefix}-{each}")) for each in ("ops", "app", "other")]
        one = Place(town, names[0], names[1], names[2], people)
        bindings = [
            *(_binding(people[name].name, name, "ClusterRoleBinding") for name in EVERYWHERE),
            *(_binding(people[name].name, name, "RoleBinding") for name in IN_THE_APPLICATION),
        ]
        cluster.apply(*roles, *bindings, namespace=one.application)
        stack.callback(cluster.delete, *bindings, *roles, namespace=one.application)
        one.wait_rights()
        shared = gateway("shared", town.controllers.class_name)
        shared["spec"]["listeners"][0]["allowedRoutes"] = SHARED_BY_LABEL
        assert one.operator.ask("POST", one.path("gateways", one.operators), shared) == 201
        cluster.apply(*service("theirs", 9), namespace=one.other)
        yield one


def _binding(person: str, role: str, kind: str) -> Object:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind,
        "metadata": {"name": person},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": f"trilithon-{role}"},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": person}],
    }


def test_a_developer_attaches_only_where_the_operator_allows_it(place: Place) -> None:
    """The listener says from where; neither it nor the label of a namespace is the developer's to change."""
    developer, namespace = place.developer, f"/api/v1/namespaces/{place.application}"
    assert developer.ask("POST", place.path("httproutes", place.application), _attached(place, "guest", "mine")) == 201
    place.wait_reason("guest", "Accepted", "NotAllowedByListeners")
    everybody = {"spec": {"listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}}
    assert developer.merge(place.path("gateways", place.operators, "shared"), everybody) == 403
    assert developer.merge(namespace, {"metadata": {"labels": {"shared": "yes"}}}) == 403
    assert place.people["application-admin"].merge(namespace, {"metadata": {"labels": {"shared": "yes"}}}) == 403
    assert place.operator.merge(namespace, {"metadata": {"labels": {"shared": "yes"}}}) == 200
    place.wait_reason("guest", "Accepted", "Accepted")
    assert place.operator.merge(namespace, {"metadata": {"labels": {"shared": None}}}) == 200
    place.wait_reason("guest", "Accepted", "NotAllowedByListeners")


def test_a_developer_reaches_another_namespace_only_by_its_grant(place: Place) -> None:
    """Who owns the Service there says so; a grant that the developer could write is not asked for."""
    operator, developer = place.operator, place.developer
    namespace = f"/api/v1/namespaces/{place.application}"
    assert operator.merge(namespace, {"metadata": {"labels": {"shared": "yes"}}}) == 200
    reaching = _attached(place, "reaching", "theirs", place.other)
    assert developer.ask("POST", place.path("httproutes", place.application), reaching) == 201
    place.wait_reason("reaching", "ResolvedRefs", "RefNotPermitted")
    grants = [place.path("referencegrants", each) for each in (place.application, place.other)]
    assert [developer.ask("POST", path, _grant(place)) for path in grants] == [403, 403]
    # The admin of an application lets others in, and does not let itself into others.
    admin = place.people["application-admin"]
    assert [admin.ask("POST", path, _grant(place)) for path in grants] == [201, 403]
    place.wait_reason("reaching", "ResolvedRefs", "RefNotPermitted")
    assert operator.ask("POST", grants[1], _grant(place)) == 201
    place.wait_reason("reaching", "ResolvedRefs", "ResolvedRefs")
    assert operator.ask("DELETE", f"{grants[1]}/mine") == 200
    place.wait_reason("reaching", "ResolvedRefs", "RefNotPermitted")


def test_a_developer_goes_round_no_grant_by_a_backend(place: Place) -> None:
    """An address or a name leads anywhere: who writes it is the operator, and names are refused even then."""
    operator, developer = place.operator, place.developer
    assert operator.merge(f"/api/v1/namespaces/{place.application}", {"metadata": {"labels": {"shared": "yes"}}}) == 200
    path = f"/apis/trilithon.dev/v1alpha1/namespaces/{place.application}/backends"
    name = f"theirs.{place.other}.svc.cluster.local"
    backend = {
        "apiVersion": "trilithon.dev/v1alpha1",
        "kind": "Backend",
        "metadata": {"name": "by-name"},
        "spec": {"endpoints": [{"hostname": {"hostname": name, "port": 80}}]},
    }
    people = [developer, place.people["application-admin"], operator]
    assert [person.ask("POST", path, backend) for person in people] == [403, 403, 201]
    leading = _attached(place, "leading", "by-name")
    ref = {"group": "trilithon.dev", "kind": "Backend", "name": "by-name"}
    leading["spec"]["rules"][0]["backendRefs"] = [ref]
    assert developer.ask("POST", place.path("httproutes", place.application), leading) == 201
    place.wait_reason("leading", "ResolvedRefs", "BackendHostname")


def test_nobody_reads_the_secrets_of_others(place: Place) -> None:
    """Where Gateways are there are keys: only who runs those Gateways sees them."""
    path = f"/api/v1/namespaces/{place.operators}/secrets"
    place.town.cluster.wait_for("the Gateway's identity", lambda: place.town.cluster.get(path)["items"])
    seen = {name for name, person in place.people.items() if person.ask("GET", path) == 200}
    assert seen == {"cluster-operator"}
    own = f"/api/v1/namespaces/{place.application}/secrets"
    seen = {name for name, person in place.people.items() if person.ask("GET", own) == 200}
    assert seen == {"cluster-operator", "application-admin"}
    for verb in ("get", "list", "watch"):
        assert not place.developer.may(verb, "secrets", place.operators)
    controllers = place.town.controllers.namespace
    assert not any(
        place.people[name].may("get", "secrets", controllers)
        for name in ("infrastructure-provider", *IN_THE_APPLICATION)
    )


def test_each_is_told_the_same_by_kubectl(place: Place) -> None:
    """What a person types: their own part is done, another's is refused by name."""
    text = msgspec.json.encode(_attached(place, "typed", "mine")).decode()
    arguments = ("--namespace", place.application, "apply", "-f", "-")
    assert "created" in place.developer.kubectl(*arguments, stdin=text)
    said = place.people["infrastructure-provider"].kubectl(*arguments, stdin=text)
    assert "forbidden" in said.lower()
    assert "httproutes" in said
    told = place.developer.kubectl("--namespace", place.operators, "get", "secrets")
    assert 'cannot list resource "secrets"' in told
    assert "shared" in place.operator.kubectl("--namespace", place.operators, "get", "gateways")


def test_the_provider_of_classes_runs_nothing(place: Place) -> None:
    """And whoever runs something does not change the classes that others run by."""
    group = "gateway.networking.k8s.io"
    may_change = {
        name for name, person in place.people.items() if person.may("update", "gatewayclasses", group=group, name="any")
    }
    may_run = {
        name
        for name, person in place.people.items()
        if person.may("create", "gateways", place.application, group=group)
    }
    may_size = {
        name
        for name, person in place.people.items()
        if person.may("patch", "gatewayparameters", place.application, group="trilithon.dev")
    }
    assert may_change == may_size == {"infrastructure-provider"}
    assert may_run == {"cluster-operator", "application-admin"}


def _attached(place: Place, name: str, service_name: str, service_namespace: str = "") -> Object:
    """A route of the application to the operator's Gateway."""
    made = route(name, service_name, "shared")
    made["spec"]["parentRefs"][0]["namespace"] = place.operators
    if service_namespace:
        made["spec"]["rules"][0]["backendRefs"][0]["namespace"] = service_namespace
    return made


def _grant(place: Place) -> Object:
    """Routes of the application may refer to Services."""
    source = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": place.application}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "mine"},
        "spec": {"from": [source], "to": [{"group": "", "kind": "Service"}]},
    }
