"""The page about rights names every right of the controller, and none that it does not have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from trilithon.infrastructure.installation import AUTHORITY_SECRET
from trilithon.infrastructure.rights import CLASS_PARAMETERS, CLUSTER, SERVED, Right, own

PAGE = (Path(__file__).parents[2] / "docs/security.md").read_text()
TABLES = re.findall(r"\| resource \| verbs \| because \|\n\|[-|]+\n((?:\|.*\n)+)", PAGE)
VERBS = re.compile(r"\b(get|list|watch|create|update|patch|delete)\b")


def written(table: str) -> set[tuple[str, str]]:
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]
    return {
        (resource, verb)
        for resources, verbs, _ in rows
        for resource in re.findall(r"`([^`]+)`", resources)
        for verb in VERBS.findall(verbs)
    }


def granted(rights: Iterable[Right]) -> set[tuple[str, str]]:
    return {(resource, verb) for right in rights for resource in right.resources for verb in right.verbs}


def test_the_page_has_every_right_where_it_holds() -> None:
    assert [written(table) for table in TABLES] == [
        granted(CLUSTER),
        granted(SERVED),
        granted((*own("trilithon", AUTHORITY_SECRET), *CLASS_PARAMETERS)),
    ]
