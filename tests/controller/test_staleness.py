"""A replica that has lost the API server alone gives way; when all have lost it, they serve on."""

from __future__ import annotations

from trilithon.controller.staleness import PATIENT_LOOKS, Staleness


class World:
    def __init__(self) -> None:
        self.is_current = True
        self.is_any_current = True
        self.released = 0
        self.staleness = Staleness(lambda: self.is_current, lambda: self.is_any_current, self._release)

    def _release(self) -> None:
        self.released += 1

    def look(self, times: int) -> tuple[bool, int]:
        """Whether it gives way after so many looks, and how often it let Envoys go so far."""
        for _ in range(times):
            self.staleness.look()
        return self.staleness.is_stale, self.released


def test_who_is_cut_off_alone_lets_its_envoys_go_until_it_is_back() -> None:
    world = World()
    world.is_current = False
    assert world.look(PATIENT_LOOKS - 1) == (False, 0)
    assert world.look(3) == (True, 3)
    world.is_current = True
    assert world.look(1) == (False, 3)


def test_when_nobody_reaches_the_api_server_nobody_gives_way() -> None:
    world = World()
    world.is_current = world.is_any_current = False
    assert world.look(10) == (False, 0)
