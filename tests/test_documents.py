"""Documents do not go stale: their picture is today's pipeline, their links lead somewhere, their commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.picture import PAGES, with_picture
from trilithon.cli.main import main

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES)
def test_the_picture_is_todays_pipeline(page: str) -> None:
    text = (ROOT / page).read_text()
    assert with_picture(text) == text


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    named = set(re.findall(r"(?:`|\$ |bin/)trilithon ([a-z]+)", page.read_text()))
    assert named <= set(main.list_commands(None))  # type: ignore[arg-type]
