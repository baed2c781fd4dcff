"""The authority: one for all replicas, followed without a break, never lost, never told."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from tests.sinks.secret_api import serving
from tests.system.harness import until
from trilithon.kube.client import Client
from trilithon.kube.errors import ApiError
from trilithon.resources.meta import Key
from trilithon.sinks.identity.authority import Authority, AuthorityUnusable, StoredAuthority
from trilithon.sinks.identity.certification import (
    CertificateUnusable,
    Usage,
    certificates_of,
    is_signed_by,
    issue,
    new_authority,
    pair_of,
    uris_of,
)
from trilithon.sinks.identity.identities import Identities
from trilithon.sinks.identity.trust import Trust, advanced, data_of, new_trust, trust_of

PATH = "/api/v1/namespaces/trilithon-system/secrets/trilithon-xds-ca"
START = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
EDGE = Key("Gateway", "infra", "edge")


class Clock:
    """A time that tests move."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def stored(trust: Trust) -> dict[str, Any]:
    return {"metadata": {"name": "trilithon-xds-ca"}, "data": encoded(data_of(trust))}


def encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(value).decode() for name, value in data.items()}


async def loaded(client: Client, clock: Clock) -> StoredAuthority:
    authority = StoredAuthority(client, "trilithon-system", pytest.fail, clock)
    await authority.look()
    return authority


# --- one for all ---


async def test_the_first_replica_makes_it_and_the_others_take_it() -> None:
    async with serving() as (api, client):
        first, second = await loaded(client, Clock()), await loaded(client, Clock())
        assert data_of(first.trust) == data_of(second.trust)
        assert api.secrets[PATH]["type"] == "kubernetes.io/tls"
        assert len(api.writes) == 1


async def test_who_loses_the_race_takes_the_winners() -> None:
    winner = new_trust(START)
    async with serving() as (api, client):
        api.before_write = lambda: api.put(PATH, stored(winner))
        assert data_of((await loaded(client, Clock())).trust) == data_of(winner)


async def test_a_secret_that_is_gone_is_written_again_as_it_was() -> None:
    async with serving() as (api, client):
        kept = await loaded(client, Clock())
        before = kept.trust
        api.secrets.clear()
        await kept.look()
        assert trust_of(
            {name: base64.b64decode(value) for name, value in api.secrets[PATH]["data"].items()}
        ).bundle == (before.bundle)
        assert kept.trust is before


async def test_looking_writes_nothing_while_nothing_is_due() -> None:
    async with serving() as (api, client):
        kept = await loaded(client, Clock())
        api.writes.clear()
        before = kept.trust
        for _ in range(3):
            await kept.look()
        assert api.writes == []
        assert kept.trust is before


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({}, id="empty"),
        pytest.param({"tls.crt": "x", "tls.key": "y"}, id="no base64"),
        pytest.param(encoded({"tls.crt": b"canary", "tls.key": b"canary"}), id="no PEM"),
        pytest.param({**encoded(data_of(new_trust(START))), **encoded({"ca.crt": b"x"})}, id="no bundle"),
        pytest.param(
            encoded({**data_of(new_trust(START)), "tls.key": new_trust(START).signer.key_pem}), id="another's key"
        ),
    ],
)
async def test_a_secret_that_cannot_be_read_changes_nothing_and_is_not_told(data: dict[str, str]) -> None:
    async with serving() as (api, client):
        kept = await loaded(client, Clock())
        before = kept.trust
        api.put(PATH, {"metadata": {"name": "trilithon-xds-ca"}, "data": data})
        with pytest.raises(AuthorityUnusable, match="last good one") as caught:
            await kept.look()
        assert "canary" not in str(caught.value)
        assert kept.trust is before
        with pytest.raises(AuthorityUnusable, match="mend it, or delete it"):
            await loaded(client, Clock())


async def test_nothing_is_known_before_it_was_found_and_whoever_needs_it_waits() -> None:
    troubles: list[str] = []
    async with serving() as (api, client):
        api.refusal = 403
        authority = StoredAuthority(client, "trilithon-system", troubles.append, Clock())
        followed: list[bool] = []
        authority.follow(lambda: followed.append(True))
        waiting = asyncio.create_task(Identities(authority, Clock()).issue(EDGE, None))
        keeping = asyncio.create_task(authority.keep())
        await until(lambda: troubles)
        assert not waiting.done()
        with pytest.raises(LookupError):
            _ = authority.trust
        api.refusal = None
        assert await asyncio.wait_for(waiting, 30)
        keeping.cancel()
        assert len(troubles) == len(followed) == 1


async def test_a_server_that_refuses_is_told_and_nothing_is_made_up() -> None:
    async with serving() as (api, client):
        kept = await loaded(client, Clock())
        before = kept.trust
        api.refusal = 403
        with pytest.raises(ApiError):
            await kept.look()
        assert kept.trust is before
        with pytest.raises(ApiError):
            await loaded(client, Clock())


def test_an_authority_that_is_none_is_refused() -> None:
    leaf = issue(new_trust(START).signer, "trilithon://controller", (), Usage.SERVER, START, DAY)
    with pytest.raises(CertificateUnusable, match="authority"):
        trust_of({"tls.crt": leaf.certificate_pem, "tls.key": leaf.key_pem})


def test_no_text_of_it_holds_a_key() -> None:
    trust = new_trust(START)
    secret = trust.signer.key_pem.splitlines()[1].decode()
    assert secret not in repr(trust) + str(trust) + repr(trust.signer)


# --- followed without a break ---


def test_an_authority_is_trusted_for_a_week_before_it_signs_and_until_it_expires() -> None:
    trust, now, switched = new_trust(START), START, []
    first = trust.signer.certificate
    while now < START + 3700 * DAY:
        after = advanced(trust, now)
        if after.signer is not trust.signer:
            switched.append(now)
            # Everybody has had the bundle with it for days.
            assert after.signer.certificate in trust.trusted
            assert first in after.trusted
        assert (first in after.trusted) == (now < first.not_valid_after_utc)
        trust, now = after, now + DAY
    assert len(switched) == 1
    assert len(trust.trusted) == 1


def test_an_authority_that_expired_unnoticed_is_followed_at_once() -> None:
    late = START + 5000 * DAY
    trust = advanced(new_trust(START), late)
    assert trust.signer.certificate.not_valid_after_utc > late
    assert trust.trusted == (trust.signer.certificate,)
    assert advanced(trust, late) is trust


def test_an_operators_authority_is_the_operators_to_follow() -> None:
    own = new_authority("Shop CA", START, 90 * DAY)
    trust = trust_of({"tls.crt": own.certificate_pem, "tls.key": own.key_pem})
    assert advanced(trust, START + 89 * DAY) is trust
    assert trust.bundle == own.certificate_pem


def test_what_is_stored_is_what_is_read() -> None:
    trust = advanced(new_trust(START), START + 3000 * DAY)
    assert trust.following is not None
    assert data_of(trust_of(data_of(trust))) == data_of(trust)


async def test_of_two_replicas_that_follow_it_one_writes() -> None:
    async with serving() as (api, client):
        clock = Clock()
        one, other = await loaded(client, clock), await loaded(client, clock)
        clock.now = START + 3000 * DAY
        api.writes.clear()
        # The other one has written when this one's request arrives.
        following = advanced(one.trust, clock.now)
        api.before_write = lambda: api.put(PATH, stored(following))
        await one.look()
        await one.look()
        await other.look()
        assert data_of(one.trust) == data_of(other.trust) == data_of(following)
        assert len(api.writes) == 1


# --- identities ---


async def test_an_identity_is_for_one_gateway_and_for_clients() -> None:
    trust = new_trust(START)
    issued = await Identities(Authority(trust), Clock()).issue(EDGE, None)
    assert issued is not None
    certificate = pair_of(issued["tls.crt"], issued["tls.key"]).certificate
    assert uris_of(certificate) == ("trilithon://gateway/infra/edge",)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [Usage.CLIENT.value]
    assert is_signed_by(certificate, certificates_of(issued["ca.crt"]))
    assert set(issued) == {"tls.crt", "tls.key", "ca.crt"}


async def test_an_identity_is_good_for_two_thirds_of_its_life() -> None:
    clock = Clock()
    identities = Identities(Authority(new_trust(START)), clock)
    first = await identities.issue(EDGE, None)
    renewed = []
    for day in range(60):
        clock.now = START + day * DAY
        if await identities.issue(EDGE, first) is not None:
            renewed.append(day)
    assert renewed == list(range(40, 60))
    # A clock that is set back must not accept what it cannot judge.
    clock.now = START - DAY
    assert await identities.issue(EDGE, first) is not None


async def test_an_identity_is_issued_again_when_anything_about_it_is_wrong() -> None:
    clock = Clock()
    authority = Authority(new_trust(START))
    identities = Identities(authority, clock)
    mine = await identities.issue(EDGE, None)
    theirs = await identities.issue(Key("Gateway", "infra", "other"), None)
    assert mine is not None
    assert theirs is not None
    assert await identities.issue(EDGE, mine) is None
    wrong: list[Mapping[str, bytes]] = [
        theirs,
        {},
        {**mine, "tls.key": theirs["tls.key"]},
        {**mine, "tls.crt": b""},
        {**mine, "ca.crt": b""},
        {name: value for name, value in mine.items() if name != "ca.crt"},
    ]
    assert all([await identities.issue(EDGE, each) is not None for each in wrong])


async def test_an_identity_is_issued_at_once_when_the_trust_changed() -> None:
    clock = Clock()
    authority = Authority(new_trust(START))
    identities = Identities(authority, clock)
    mine = await identities.issue(EDGE, None)
    clock.now = START + DAY
    following = new_authority("Trilithon xDS", clock.now, 3650 * DAY)
    authority.change(Trust(authority.trust.signer, (*authority.trust.trusted, following.certificate), following))
    again = await identities.issue(EDGE, mine)
    assert again is not None
    assert len(certificates_of(again["ca.crt"])) == 2
    assert await identities.issue(EDGE, again) is None


async def test_gateways_with_alike_names_have_different_identities() -> None:
    identities = Identities(Authority(new_trust(START)), Clock())
    keys = [Key("Gateway", *each) for each in (("a", "b-c"), ("a-b", "c"), ("a", "b.c"), ("a.b", "c"), ("ab", "c"))]
    uris: set[str] = set()
    for key in keys:
        issued = await identities.issue(key, None)
        assert issued is not None
        uris.update(uris_of(pair_of(issued["tls.crt"], issued["tls.key"]).certificate))
    assert len(uris) == len(keys)
