"""Be the kubelet that a JSON file describes, from inside the node's network namespace."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from testcluster.kubelet.agent import run
from testcluster.layout import KubeletConfig


async def _main(config: KubeletConfig) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(config, stop)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m testcluster.kubelet CONFIG")
    if sys.version_info < (3, 12):
        # As later versions do by themselves: no thread for each process that is waited for.
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    asyncio.run(_main(KubeletConfig.read(Path(sys.argv[1]))))
