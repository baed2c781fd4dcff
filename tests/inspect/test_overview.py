"""The URL that is shown for a listener is one that works."""

from __future__ import annotations

import pytest

from tests.inspect.manifests import gateway, translated
from trilithon.inspect.overview import url_of
from trilithon.model.settings import Settings
from trilithon.model.tables import LISTENERS


@pytest.mark.parametrize(
    ("hostname", "settings", "url"),
    [
        ("", Settings(), "http://127.0.0.1:8080/"),
        ("", Settings(address="0.0.0.0"), "http://127.0.0.1:8080/"),
        ("", Settings(address="::", port_offset=8000), "http://[::1]:16080/"),
        ("shop.test", Settings(port_offset=8000), "http://shop.test:16080/"),
        ("*.shop.test", Settings(port_offset=8000), "http://anything.shop.test:16080/"),
    ],
)
def test_url(hostname: str, settings: Settings, url: str) -> None:
    text = gateway(listener=f'hostname: "{hostname}"' if hostname else "")
    (row,) = translated(text).engine.rows(LISTENERS).values()
    assert url_of(settings, row.items[0], settings.address) == url
