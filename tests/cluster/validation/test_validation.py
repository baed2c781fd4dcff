"""What a real API server takes is taken offline, and what it refuses is refused (more with this package's command)."""

from __future__ import annotations

import pytest

from testcluster import Cluster
from tests.cluster.validation.__main__ import cases
from tests.cluster.validation.asking import CHANNELS, Server
from tests.cluster.validation.comparing import Tally, compare
from tests.cluster.validation.coverage import broken, rule_messages
from tests.cluster.validation.seeds import seeds
from trilithon.kube.config import find_config

SEED = 7
# In each channel, beside the documents as published.
MUTATIONS = 2_000


@pytest.mark.parametrize("channel", CHANNELS)
async def test_documents_are_taken_and_refused_as_by_an_api_server(cluster: Cluster, channel: str) -> None:
    tally = Tally()
    async with Server(find_config(cluster.kubeconfig)) as server:
        async for comparison in compare(server, cases(channel, SEED, MUTATIONS)):
            tally.add(comparison)
    print(tally)
    assert not tally.differences, "\n\n".join(map(str, tally.differences[:10]))
    assert tally.total == MUTATIONS + len(seeds(channel))
    # The changes must break and keep in fair shares, and every rule of the CRDs must have been broken.
    assert tally.total / 4 < tally.refused < tally.total * 3 / 4
    rules = rule_messages(channel)
    assert broken(rules, tally.messages[channel]) == rules
    # A refusal is of use where it names the field.
    assert tally.same_field > 0.95 * tally.named_field


@pytest.mark.parametrize("channel", CHANNELS)
def test_what_is_published_as_wrong_is_among_the_documents(channel: str) -> None:
    assert sum(seed.wrong and "invalid-examples" in seed.origin for seed in seeds(channel)) >= 30
