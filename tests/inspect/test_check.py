"""Everything wrong is listed once, and goes when it is mended."""

from __future__ import annotations

from tests.inspect.manifests import gateway, route, service, translated
from trilithon.incremental import Edit, Read, Table
from trilithon.inspect.check import changed_objects, problems_of
from trilithon.model.tables import GATEWAYS, SERVICES
from trilithon.resources.core import Service, ServicePort, ServiceSpec
from trilithon.resources.meta import Key


def test_a_healthy_set_has_no_problems() -> None:
    assert problems_of(translated(gateway(), service("web"), route("name: web, port: 80")).engine) == ()


def test_a_problem_goes_when_what_was_missing_comes() -> None:
    engine = translated(gateway(), route("name: web, port: 80")).engine
    assert [problem.code for problem in problems_of(engine)] == ["BackendNotFound"]
    web = Service(Key("Service", "shop", "web"), 1, "", ServiceSpec(ports=(ServicePort(port=80),)))
    changes = engine.apply([Edit(SERVICES, web.key, web)])
    assert problems_of(engine) == ()
    assert changed_objects(changes) == {Key("HTTPRoute", "shop", "web")}


def test_what_the_translation_fails_at_is_a_problem_that_asks_for_a_report() -> None:
    engine = translated(gateway()).engine
    broken: Table[Key, str] = Table("broken")

    def fail(_read: Read, _row: object) -> str:
        raise ZeroDivisionError("by zero")

    engine.each(broken, GATEWAYS, fail)
    engine.apply([])
    (problem,) = problems_of(engine)
    assert (problem.code, problem.key) == ("InternalError", Key("Gateway", "infra", "gw"))
    assert "by zero" in problem.message
    assert "report" in problem.hint
