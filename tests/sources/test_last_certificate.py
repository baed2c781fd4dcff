"""A Secret that cannot be used any more is told with what it held when it could, by every source."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.cluster import Cluster as ApiServer
from tests.sources.following import following
from tests.system.manifests import gateway, listener, secret, tls_listener
from trilithon.resources.core import Bytes, Secret
from trilithon.resources.decode import decode
from trilithon.resources.meta import Key
from trilithon.sources.folder.files import FileSource
from trilithon.sources.kubernetes.kinds import Scope
from trilithon.sources.kubernetes.state import ClusterState

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


def follow(source: Source, steps: Iterable[tuple[dict[str, Any] | None, bool, bool]]) -> None:
    """Each step: what the Secret is now, whether that can be used, and whether it is another Secret of that name."""
    last: tuple[tuple[str, Bytes], ...] = ()
    for manifest, is_good, is_another in steps:
        row = source.put(manifest)
        if manifest is None:
            assert row is None
            last = ()
            continue
        assert row is not None
        assert row.data == held(manifest)
        last = held(manifest) if is_good else () if is_another else last
        assert row.former == (() if is_good else last)


@settings(max_examples=40, deadline=None)
@given(states=st.lists(st.sampled_from(sorted(STATES)), max_size=7))
def test_in_files_the_last_good_pair_stays_while_the_secret_is_written(
    tmp_path_factory: pytest.TempPathFactory, states: Sequence[str]
) -> None:
    follow(Files(tmp_path_factory.mktemp("folder")), ((*STATES[state], False) for state in states))


def lives(steps: Sequence[tuple[str, bool]]) -> Iterator[tuple[dict[str, Any] | None, bool, bool]]:
    """The states as an API server has them: a Secret keeps its uid, and its type for as long as that."""
    uid, type_ = 0, ""
    for state, is_remade in steps:
        manifest, is_good = STATES[state]
        if manifest is None:
            uid, type_ = uid + 1, ""
            yield None, False, True
            continue
        is_another = is_remade or manifest["type"] != type_
        uid, type_ = uid + is_another, manifest["type"]
        yield {**manifest, "metadata": {**manifest["metadata"], "uid": f"uid-{uid}"}}, is_good, is_another


@settings(max_examples=80, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from(sorted(STATES)), st.booleans()), max_size=7))
def test_in_a_cluster_the_last_good_pair_goes_with_its_secret_though_nobody_saw_it_go(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[tuple[str, bool]]
) -> None:
    """Between two lists a Secret can be deleted, and another one made in its place: its key is withdrawn."""
    follow(Cluster(tmp_path_factory.mktemp("folder")), lives(steps))


@pytest.mark.parametrize("placeholder", ["rubbish", "another type", "half way"])
def test_a_placeholder_serves_nothing_of_the_secret_that_was_deleted(placeholder: str, tmp_path: Path) -> None:
    follow(Cluster(tmp_path), lives([("one", False), ("half way", False), (placeholder, True)]))


async def test_a_secret_remade_while_nobody_watches_takes_its_key_along() -> None:
    """The next list has the name as before, so that no deletion is told."""
    server = ApiServer()
    place = ("secrets", SECRET.namespace, SECRET.name)
    for plural in ("gateways", "gatewayclasses", "httproutes", "referencegrants"):
        await server.put("customresourcedefinitions", f"{plural}.gateway.networking.k8s.io", spec={})
    await server.put("namespaces", "demo")
    await server.put("gateways", "gw", "demo", spec=gateway(tls_listener(8443, "tls", "cert"))["spec"])
    await server.put("services", "other", "demo", spec={"ports": [{"port": 80}]})
    spoiled = mixed(TWO, ONE)
    await server.put(*_placed(place), type=ONE["type"], data=ONE["data"])
    async with server.serving(), following(server.address) as followed:
        await followed.until(lambda: SECRET in followed.rows)
        await server.put(*_placed(place), type=ONE["type"], data=spoiled["data"])
        await followed.until(lambda: followed.rows[SECRET].former == held(ONE))
        was = server.copy().objects[place]
        version = str(int(was["metadata"]["resourceVersion"]) + 1)
        metadata = {**was["metadata"], "uid": "another", "resourceVersion": version}
        server.appear({place: {**was, "metadata": metadata, "type": "Opaque", "data": {}}})
        await server.vanish(("services", "demo", "other"))
        await followed.until(lambda: followed.rows[SECRET].data == ())
        assert followed.rows[SECRET].former == ()


def _placed(place: tuple[str, str, str]) -> tuple[str, str, str]:
    plural, namespace, name = place
    return plural, name, namespace


@pytest.mark.parametrize("kind", [Files, Cluster])
def test_what_nobody_foresaw_of_a_parser_makes_a_secret_unusable_and_ends_no_source(
    kind: type[Files | Cluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source: Source = kind(tmp_path)
    source.put(ONE)

    def broken(pem: bytes, password: bytes | None) -> Any:
        if pem == dict(held(TWO))["tls.key"].value:
            raise OverflowError("of a kind that nobody foresaw")
        return load_pem_private_key(pem, password)

    monkeypatch.setattr("trilithon.translate.certificates.load_pem_private_key", broken)
    row = source.put(TWO)
    assert row is not None
    assert row.former == held(ONE)


@pytest.mark.parametrize("kind", [Files, Cluster])
def test_what_is_remembered_never_shows(kind: type[Files | Cluster], tmp_path: Path) -> None:
    source: Source = kind(tmp_path)
    source.put(ONE)
    row = source.put(mixed(TWO, ONE))
    assert row is not None
    assert row.former
    assert "BEGIN" not in repr(row)
