"""Give out loopback addresses of this machine, each to one process at a time."""

from __future__ import annotations

import ipaddress
import socket
from collections import deque


class LoopbackAddresses:
    """The addresses of a loopback network; several programs on one machine share it.

    One that is given out is held by an abstract unix socket of its name, which goes with the process, however it ends.
    """

    def __init__(self, network: str = "127.0.1.0/24") -> None:
        self._free = deque(str(each) for each in ipaddress.ip_network(network).hosts())
        self._held: dict[str, socket.socket] = {}

    def claim(self) -> str | None:
        """An address that nobody else has; None if there is none."""
        for _ in range(len(self._free)):
            address = self._free.popleft()
            holder = socket.socket(socket.AF_UNIX)
            try:
                holder.bind(f"\0trilithon/{address}")
            except OSError:
                # Another process has it, perhaps not for ever.
                holder.close()
                self._free.append(address)
                continue
            self._held[address] = holder
            return address
        return None

    def release(self, address: str) -> None:
        """Give an address back; it is the last to be given out again, so that it does not soon mean another Gateway."""
        self._held.pop(address).close()
        self._free.append(address)

    def release_all(self) -> None:
        """Give back whatever is held."""
        for address in tuple(self._held):
            self.release(address)
