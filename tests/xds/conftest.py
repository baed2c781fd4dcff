"""Goldens: a few resources written out, one of each Envoy type, to be read by people when they change."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from google.protobuf.message import Message

FOLDER = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--refresh-golden", action="store_true", help="write the goldens anew (give the path tests/xds)")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, Message], None]:
    """Compare a message with golden/NAME.yaml."""
    # The option is only known where this file is loaded from the start.
    refresh = bool(request.config.getoption("--refresh-golden", default=False))

    def compare(name: str, message: Message) -> None:
        plain = json.loads(json_format.MessageToJson(message, preserving_proto_field_name=True))
        shown = yaml.safe_dump(plain, width=120)
        file = FOLDER / f"{name}.yaml"
        if refresh:
            FOLDER.mkdir(exist_ok=True)
            file.write_text(shown)
        assert file.read_text() == shown, f"{file.name} differs: pytest tests/xds --refresh-golden, and read the diff"

    return compare
