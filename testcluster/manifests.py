"""Manifests: read from files, written to the cluster by server-side apply, deleted again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from testcluster.api import APPLY, Api, ApiError, Object

MANAGER: Final = "testcluster"
PATIENCE: Final = 15.0
"""Seconds until a resource definition that was just applied must be served."""

Kind = tuple[str, str]
"""apiVersion and kind."""


class Manifests:
    """Writes manifests; the paths of kinds are asked of the API server once, and again for a kind that is not there."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: dict[Kind, tuple[str, bool]] = {}

    def apply(self, documents: Iterable[Object], namespace: str = "default", manager: str = MANAGER) -> list[Object]:
        """Apply them in order and return what is stored. ApiError for the first that is refused."""
        applied = []
        for document in documents:
            # A definition that was applied a moment ago is not served at once.
            path = self.path_of(document, namespace, PATIENCE)
            query = f"?fieldManager={manager}&force=true"
            # YAML is what the content type promises, and JSON is YAML.
            applied.append(self._api.call("PATCH", path + query, document, APPLY, timeout=30.0))
        return applied

    def delete(self, documents: Iterable[Object], namespace: str = "default") -> None:
        """Delete them, last first; those that are not there are passed over."""
        for document in reversed(list(documents)):
            self._api.delete(self.path_of(document, namespace))

    def path_of(self, document: Object, namespace: str = "default", patience: float = 0.0) -> str:
        """The path of an object. LookupError if its kind is still not served after so many seconds."""
        kind = (document["apiVersion"], document["kind"])
        deadline = time.monotonic() + patience
        while kind not in self._known:
            self._discover(kind[0])
            if kind not in self._known:
                if time.monotonic() > deadline:
                    raise LookupError(f"the cluster has no {kind[0]} {kind[1]}")
                time.sleep(0.1)
        template, namespaced = self._known[kind]
        metadata = document["metadata"]
        where = f"/namespaces/{metadata.get('namespace', namespace)}" if namespaced else ""
        return f"{template.format(where)}/{metadata['name']}"

    def _discover(self, version: str) -> None:
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        try:
            resources = self._api.get(base)["resources"]
        except ApiError as error:
            if error.status in {404, 503}:
                return
            raise
        for resource in resources:
            if "/" not in resource["name"]:
                self._known[version, resource["kind"]] = (f"{base}{{}}/{resource['name']}", resource["namespaced"])


def load(*paths: Path) -> Iterator[Object]:
    """The documents of YAML files; lists are taken apart, empty documents left out."""
    for path in paths:
        yield from parse(path.read_text(encoding="utf-8"))


def parse(text: str) -> Iterator[Object]:
    """The documents of a YAML text; lists are taken apart, empty documents left out."""
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for document in yaml.load_all(text, Loader=loader):
        if not document:
            continue
        if document.get("kind", "").endswith("List") and "items" in document:
            yield from document["items"]
        else:
            yield document
