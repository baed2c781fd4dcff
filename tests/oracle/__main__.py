"""``python -m tests.oracle --requests 20000 [--seed N]``: exits 1 when explain and Envoy disagree."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from tests.oracle.trial import REQUESTS_PER_SET, Trial, smallest
from tests.oracle.world import World

# More disagreements are most likely the same one.
MOST_SHOWN = 5
PROGRESS_SECONDS = 5.0


async def run(requests: int, seed: int, first: int) -> int:
    """Compare so many requests and print what differs; the number of disagreements."""
    started = told = time.monotonic()
    disagreements = shown = 0
    number = first
    trial = Trial(seed)
    async with World() as world:
        while trial.asked < requests:
            found = await trial.compare(world, number, min(REQUESTS_PER_SET, requests - trial.asked))
            disagreements += len(found)
            if found and shown < MOST_SHOWN:
                shown += 1
                print(
                    f"\nDisagreement (--seed {seed} --set {number}):\n{await smallest(world, found[0])}\n", flush=True
                )
            number += 1
            if time.monotonic() - told >= PROGRESS_SECONDS or trial.asked == requests:
                told = time.monotonic()
                sets, rate = number - first, trial.asked / (told - started)
                print(f"{trial.asked} requests to {sets} sets, {disagreements} disagreements, {rate:.0f}/s", flush=True)
    print("; ".join(f"{outcome}: {count}" for outcome, count in trial.outcomes.most_common()))
    return disagreements


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, metavar="N", help="how many (default: 20000)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="what is drawn (default: 1)")
    parser.add_argument("--set", type=int, default=0, metavar="N", help="the first set (default: 0)")
    options = parser.parse_args()
    return 1 if asyncio.run(run(options.requests, options.seed, options.set)) else 0


if __name__ == "__main__":
    sys.exit(main())
