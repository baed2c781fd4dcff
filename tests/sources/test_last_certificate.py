"""A Secret that cannot be used any more is told with what it held when it could, by every source alike."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.system.manifests import gateway, listener, secret, tls_listener
from trilithon.resources.core import Bytes, Secret
from trilithon.resources.decode import decode
from trilithon.resources.meta import Key
from trilithon.sources.files import FileSource
from trilithon.sources.kubernetes_kinds import Scope
from trilithon.sources.kubernetes_state import ClusterState

CA = trustme.CA()
SECRET = Key("Secret", "demo", "cert")
ONE, TWO = (secret("cert", CA.issue_cert("a.test")) for _ in range(2))


def mixed(certificate: dict[str, Any], key: dict[str, Any], **more: Any) -> dict[str, Any]:
    data = {"tls.crt": certificate["data"]["tls.crt"], "tls.key": key["data"]["tls.key"]}
    return {**certificate, "data": data, **more}


# What a Secret can be next, and whether that can be used; "gone" is none.
STATES: dict[str, tuple[dict[str, Any] | None, bool]] = {
    "one": (ONE, True),
    "two": (TWO, True),
    "half way": (mixed(TWO, ONE), False),
    "half way back": (mixed(ONE, TWO), False),
    "rubbish": ({**ONE, "data": {"tls.crt": "AAAA", "tls.key": "AAAA"}}, False),
    "another type": (mixed(ONE, ONE, type="Opaque"), False),
    "gone": (None, False),
}


class Source(Protocol):
    def put(self, manifest: dict[str, Any] | None) -> Secret | None:
        """The row of the Secret once it is so."""


class Files:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # An emptied folder would be held.
        self._write("gateway.json", gateway(listener(8080)))
        self._source = FileSource([folder])
        self._source.load()

    def _write(self, name: str, manifest: dict[str, Any]) -> None:
        (self._folder / name).write_text(json.dumps(manifest))

    def put(self, manifest: dict[str, Any] | None) -> Secret | None:
        if manifest is None:
            (self._folder / "cert.json").unlink(missing_ok=True)
        else:
            self._write("cert.json", manifest)
        self._source.refresh([self._folder / "cert.json"])
        row = self._source.resources.get(SECRET)
        assert row is None or isinstance(row, Secret)
        return row


class Cluster:
    def __init__(self, _folder: Path) -> None:
        self._now = itertools.count()
        self._state = ClusterState(lambda *_: None, lambda *_: None, lambda _: None, Scope())
        self._state.upsert(decode(gateway(tls_listener(8443, "tls", "cert"))).resource, next(self._now))
        self._rows: dict[Key, Any] = {}

    def put(self, manifest: dict[str, Any] | None) -> Secret | None:
        if manifest is None:
            self._state.remove(SECRET, next(self._now))
        self._state.settle_named(SECRET, decode(manifest).resource if manifest else None, next(self._now))
        # Long enough for everything to be due.
        change = self._state.take(next(self._now) + 1000)
        if change is not None:
            self._rows.update(change.upserts)
            for key in change.removals:
                self._rows.pop(key, None)
        row = self._rows.get(SECRET)
        assert row is None or isinstance(row, Secret)
        return row


def held(manifest: dict[str, Any]) -> tuple[tuple[str, Bytes], ...]:
    row = decode(manifest).resource
    assert isinstance(row, Secret)
    return row.data


@pytest.mark.parametrize("kind", [Files, Cluster])
@settings(max_examples=40, deadline=None)
@given(states=st.lists(st.sampled_from(sorted(STATES)), max_size=7))
def test_the_last_good_pair_stays_while_the_secret_does(
    kind: type[Files | Cluster], tmp_path_factory: pytest.TempPathFactory, states: Sequence[str]
) -> None:
    source: Source = kind(tmp_path_factory.mktemp("folder"))
    last: tuple[tuple[str, Bytes], ...] = ()
    for state in states:
        manifest, is_good = STATES[state]
        row = source.put(manifest)
        if manifest is None:
            assert row is None
            last = ()
            continue
        assert row is not None
        assert row.data == held(manifest)
        last = held(manifest) if is_good else last
        assert row.former == (() if is_good else last)


@pytest.mark.parametrize("kind", [Files, Cluster])
def test_what_is_remembered_never_shows(kind: type[Files | Cluster], tmp_path: Path) -> None:
    source: Source = kind(tmp_path)
    source.put(ONE)
    row = source.put(mixed(TWO, ONE))
    assert row is not None
    assert row.former
    assert "BEGIN" not in repr(row)
