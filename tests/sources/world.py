"""Manifests as short text, and a folder with a source whose clock stands still until it is moved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from trilithon.resources.meta import Key
from trilithon.resources.routes import HTTPRoute
from trilithon.sources.folder.files import FileSource, SourceChange

# What a file looks like while somebody is typing in it.
SYNTAX_ERROR = "kind: HTTPRoute\nmetadata: {name: \n"
WRONG_TYPE = "spec: 5\n"


def route(name: str, host: str = "a.test", namespace: str = "shop", spec: str | None = None) -> str:
    """An HTTPRoute; seven lines, the hostname in the last one."""
    spec = f"spec:\n  hostnames: [{host}]\n" if spec is None else spec
    metadata = f"metadata:\n  name: {name}\n  namespace: {namespace}\n"
    return f"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n{metadata}{spec}"


def service(name: str, port: int = 80, namespace: str = "shop") -> str:
    """A Service of one port."""
    metadata = f"metadata: {{name: {name}, namespace: {namespace}}}\n"
    return f"apiVersion: v1\nkind: Service\n{metadata}spec: {{ports: [{{port: {port}}}]}}\n"


def file_of(*documents: str) -> str:
    """Documents as one file."""
    return "---\n".join(documents)


def route_key(name: str, namespace: str = "shop") -> Key:
    return Key("HTTPRoute", namespace, name)


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class World:
    """A folder and its source, loaded while it was empty."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        folder.mkdir(exist_ok=True)
        self.source = FileSource([folder], clock=self.clock)
        self.source.load()

    def write(self, name: str, *documents: str) -> Path:
        """Write a file whole, and give it a time of change of its own."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file_of(*documents))
        return path

    def look(self, *names: str) -> SourceChange:
        """Look at these files, or at everything."""
        return self.source.refresh([self.folder / name for name in names] if names else None)

    @property
    def hosts(self) -> Mapping[str, str]:
        """The hostname of each route that is served, by the route's name."""
        routes = [row for row in self.source.resources.values() if isinstance(row, HTTPRoute)]
        return {row.key.name: row.spec.hostnames[0] for row in routes}

    def codes(self) -> list[tuple[str, str, int]]:
        """The problems that stand: code, file in the folder, line."""
        return [(one.problem.code, os.path.relpath(one.file, self.folder), one.line) for one in self.source.problems()]
