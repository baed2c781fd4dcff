"""The drawing has every table, an arrow for every source and a dotted one for every read that happened."""

from __future__ import annotations

from tests.inspect.manifests import gateway, route, service, translated
from trilithon.inspect.graph import mermaid
from trilithon.inspect.why import reads_of
from trilithon.resources.meta import Key


def test_every_table_is_drawn_once() -> None:
    engine = translated(gateway()).engine
    drawing = mermaid(engine)
    assert drawing.startswith("flowchart LR\n")
    for node in engine.graph():
        assert drawing.count(f'"{node.table}"') >= 1


def test_arrows() -> None:
    drawing = mermaid(translated(gateway(), service("web"), route("name: web, port: 80")).engine)
    assert "    routes --> rules\n" in drawing
    assert "    services -.-> rules\n" in drawing
    assert '    placed -->|"routes by host"| virtual_hosts\n' in drawing


def test_a_read_of_what_is_absent_is_recorded() -> None:
    engine = translated(gateway(), route("name: web, port: 80")).engine
    reads = dict(reads_of(engine, Key("HTTPRoute", "shop", "web")))
    assert "one services[Service shop/web]" in [str(look) for look in reads["rules"]]
