"""The controller has the rights that it needs and no others: a life with all that can happen, in the audit log."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

import msgspec
import pytest

from testcluster import Cluster, Failure
from testcluster.api import conditions
from testcluster.audit import AuditEvent
from tests.cluster.citizenship.exercise import Exercise
from tests.cluster.citizenship.town import GATEWAY_API, Town, namespace_of
from tests.cluster.faults.installed import installed
from tests.cluster.faults.objects import gateway, route
from trilithon.infrastructure.installation import AUTHORITY_SECRET
from trilithon.infrastructure.rights import CLASS_PARAMETERS, CLUSTER, SERVED, Right, own

pytestmark = pytest.mark.timeout(600)

WATCH_SECONDS = 75.0
"""Longer than any watch lasts."""
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"


class Use(NamedTuple):
    """Something that was asked of the API server and needs a right."""

    group: str
    resource: str
    verb: str
    namespace: str
    name: str


def uses(events: Iterable[AuditEvent]) -> Iterator[Use]:
    """What was asked for. An apply that made an object needed two rights."""
    for event in events:
        if not event.target.resource:
            continue
        use = Use(event.target.api_group, event.resource, event.verb, event.namespace, event.name)
        yield use
        if event.verb == "patch" and event.code == 201:
            yield use._replace(verb="create")


class Grant(NamedTuple):
    """One verb on one resource, everywhere or in one namespace, on all objects or one."""

    group: str
    resource: str
    verb: str
    namespace: str
    name: str

    def allows(self, use: Use) -> bool:
        """Whether it gives the right to that."""
        is_there = self.namespace in {"", use.namespace} and self.name in {"", use.name}
        return is_there and (self.group, self.resource, self.verb) == (use.group, use.resource, use.verb)


def grants(rights: Iterable[Right], namespace: str = "") -> Iterator[Grant]:
    """Each right taken apart."""
    for right in rights:
        for resource in right.resources:
            for verb in right.verbs:
                yield from (Grant(right.group, resource, verb, namespace, name) for name in right.names or ("",))


def unused(granted: Iterable[Grant], used: Iterable[Use]) -> list[Grant]:
    """Those that nothing needed."""
    return [grant for grant in sorted(granted) if not any(grant.allows(use) for use in used)]


def _wait_used(cluster: Cluster, granted: Iterable[Grant], events: Callable[[], list[AuditEvent]]) -> None:
    with suppress(Failure):
        cluster.wait_for("every right to be used", lambda: not unused(granted, set(uses(events()))), WATCH_SECONDS)


def test_every_right_is_used_and_none_is_missing(cluster: Cluster) -> None:
    """From the installation on, with everything that needs a right of its own."""
    name, mark = f"rights{secrets.token_hex(3)}", cluster.audit.mark()
    with installed(cluster, name) as controllers, namespace_of(cluster, f"{name}-town") as namespace:
        exercise = Exercise(cluster, controllers, namespace, mark)
        exercise.renew_authority()
        exercise.make_and_unmake()
        exercise.complain_twice()
        exercise.be_in_the_way()
        exercise.be_faster()
        exercise.leave()
        refused = {f"{event.verb} {event.request_uri}" for event in exercise.events() if event.is_forbidden}
        assert refused == set()
        # An API server that has just started may refuse what is granted, because it has not read the roles yet.
        exercise.begin_again()
        granted = {*grants((*CLUSTER, *SERVED)), *grants(own("trilithon", AUTHORITY_SECRET), name)}
        # A watch is in the audit log when it has ended.
        _wait_used(cluster, granted, exercise.events)
        events = exercise.events()
    used = set(uses(events))
    assert [use for use in used if not any(grant.allows(use) for grant in granted)] == []
    assert unused(granted, used) == []
    print(f"\n{len(events)} requests; {len(granted)} rights, each used")


def test_an_installation_for_one_namespace_asks_for_nothing_elsewhere(cluster: Cluster) -> None:
    """Its rights are in that namespace, and they are enough; what is said of a class is said where classes are."""
    name, mark = f"rights{secrets.token_hex(3)}", cluster.audit.mark()
    with (
        namespace_of(cluster, f"{name}-town") as served,
        namespace_of(cluster, f"{name}-elsewhere") as elsewhere,
        installed(cluster, name, (served,)) as controllers,
    ):
        for namespace in (served, elsewhere):
            cluster.apply(gateway("edge", name), route("one", "missing", "edge"), namespace=namespace)
        path = f"{GATEWAY_API}/namespaces/{served}/gateways/edge"
        cluster.wait_for("the Gateway", lambda: conditions(cluster.get(path)).get("Programmed") == "True", 60)
        reference = {"group": "trilithon.dev", "kind": "GatewayParameters", "name": "missing", "namespace": served}
        class_path = f"{GATEWAY_API}/gatewayclasses/{name}"
        cluster.api.merge(class_path, {"spec": {"parametersRef": reference}})

        def asked() -> list[AuditEvent]:
            return [event for event in cluster.audit.read(mark) if event.by == controllers.account]

        cluster.wait_for("a word about the class", lambda: any(map(_tells_of_a_class, asked())))
        cluster.api.delete(path)
        cluster.wait_for("the class to be unused", lambda: not cluster.get(class_path)["metadata"].get("finalizers"))
        beside = [grant for grant in grants(CLASS_PARAMETERS, name) if grant.verb == "watch"]
        _wait_used(cluster, beside, asked)
        events = asked()
    assert {f"{event.verb} {event.request_uri}" for event in events if event.is_forbidden} == set()
    assert {event.namespace for event in events} <= {"", name, served, "default"}
    assert {event.resource for event in events if event.namespace == "default"} == {"events"}
    assert unused(beside, set(uses(events))) == []
    # Of what is in a namespace nothing was asked for all of them.
    of_the_cluster = {resource for right in CLUSTER for resource in right.resources}
    assert {event.resource for event in events if event.target.resource and not event.namespace} <= of_the_cluster


def _tells_of_a_class(event: AuditEvent) -> bool:
    return event.resource == "events" and event.namespace == "default" and event.verb == "create"


def test_what_runs_a_gateway_has_no_rights(town: Town) -> None:
    """Its service account may do what every service account may, and its pods have no token."""
    cluster = town.cluster
    accounts = cluster.get(f"/api/v1/namespaces/{town.namespace}/serviceaccounts")["items"]
    (generated,) = [each for each in accounts if each["metadata"]["name"] != "default"]
    assert generated["automountServiceAccountToken"] is False
    assert _rules(town, generated["metadata"]["name"]) == _rules(town, "default")
    pods = cluster.get(f"/api/v1/namespaces/{town.namespace}/pods")["items"]
    assert {pod["spec"]["serviceAccountName"] for pod in pods} == {generated["metadata"]["name"]}
    volumes = [volume for pod in pods for volume in pod["spec"]["volumes"]]
    sources = {source for volume in volumes for source in volume if source != "name"}
    assert "projected" not in sources, "a token would be one"
    assert {pod["spec"]["automountServiceAccountToken"] for pod in pods} == {False}


def _rules(town: Town, account: str) -> list[str]:
    """What a service account may do, in any order."""
    user = {"Impersonate-User": f"system:serviceaccount:{town.namespace}:{account}"}
    groups = {"Impersonate-Group": "system:authenticated"}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": town.namespace},
    }
    status, answer = town.cluster.api.request("POST", REVIEW, body, headers={**user, **groups})
    assert status == 201
    told = msgspec.json.decode(answer)["status"]
    rules = [*told["resourceRules"], *told["nonResourceRules"]]
    assert rules
    return sorted(msgspec.json.encode(rule, order="sorted").decode() for rule in rules)
