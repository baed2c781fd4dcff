"""``python -m tests.cluster.validation --seed N --count M``: exits 1 when an API server and the offline rules disagree.

The API server is that of KUBECONFIG.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import stamina

from tests.cluster.validation.asking import CHANNELS, Server
from tests.cluster.validation.comparing import Tally, compare
from tests.cluster.validation.mutations import Case, mutation, originals
from tests.cluster.validation.schemas import PLURALS
from trilithon.kube.config import find_config


def cases(channel: str, seed: int, count: int) -> list[Case]:
    """All published documents, and so many mutations."""
    return [*originals(channel), *(mutation(channel, seed, number) for number in range(count))]


async def run(asked: list[Case], shown: int) -> int:
    """Compare, print what differs and a summary; the number of differences."""
    started = time.monotonic()
    # Waiting for CRDs to be served is nothing to tell.
    stamina.instrumentation.set_on_retry_hooks([])
    tally = Tally()
    async with Server(find_config()) as server:
        async for comparison in compare(server, asked):
            tally.add(comparison)
            if comparison.is_difference and len(tally.differences) <= shown:
                print(f"{comparison}\n", flush=True)
    print(f"{tally}\n{time.monotonic() - started:.0f} s")
    return len(tally.differences)


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.validation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="what is drawn (default: 1)")
    parser.add_argument("--count", type=int, default=2000, metavar="M", help="mutations by channel (default: 2000)")
    parser.add_argument("--number", type=int, metavar="N", help="this mutation alone")
    parser.add_argument("--channel", choices=CHANNELS, help="this channel alone")
    parser.add_argument("--kind", choices=tuple(PLURALS), help="this kind alone")
    parser.add_argument("--shown", type=int, default=20, metavar="N", help="differences to print (default: 20)")
    options = parser.parse_args()
    channels = [options.channel] if options.channel else CHANNELS
    if options.number is not None:
        asked = [mutation(channel, options.seed, options.number) for channel in channels]
    else:
        asked = [case for channel in channels for case in cases(channel, options.seed, options.count)]
    if options.kind:
        asked = [case for case in asked if case.kind == options.kind]
    return 1 if asyncio.run(run(asked, options.shown)) else 0


if __name__ == "__main__":
    sys.exit(main())
