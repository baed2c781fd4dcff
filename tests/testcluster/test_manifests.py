"""Reading manifests."""

from __future__ import annotations

from testcluster.manifests import parse

TEXT = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: one}
---
# nothing
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: two}}
- {apiVersion: v1, kind: Secret, metadata: {name: three}}
"""


def test_lists_are_taken_apart_and_nothing_is_nothing() -> None:
    """In the order of the file."""
    assert [document["metadata"]["name"] for document in parse(TEXT)] == ["one", "two", "three"]
