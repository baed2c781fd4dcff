"""What the conformance suite has: its tests, and the profiles that they count in."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from testcluster.failure import Failure


class Level(StrEnum):
    """How a profile counts a test."""

    CORE = "core"
    EXTENDED = "extended"


class SuiteTest(msgspec.Struct, frozen=True):
    """A test of the suite, and the features it exercises: it is run if an implementation claims them all."""

    name: str
    description: str
    features: tuple[str, ...]
    provisional: bool = False


class Profile(msgspec.Struct, frozen=True):
    """A profile of the suite: the features that it demands, and those that it knows besides."""

    name: str
    core: tuple[str, ...]
    extended: tuple[str, ...]

    def level(self, test: SuiteTest) -> Level | None:
        """How this profile counts a test; None if it does not. One that needs any extended feature is extended."""
        features = set(test.features)
        # UDPRoute is among both kinds of its profile's features, so the order matters.
        if features <= set(self.core):
            return Level.CORE
        return Level.EXTENDED if features <= {*self.core, *self.extended} else None


class Catalogue(msgspec.Struct, frozen=True):
    """All tests in the order in which the suite runs them, and all profiles."""

    tests: tuple[SuiteTest, ...]
    profiles: tuple[Profile, ...]

    @classmethod
    def read(cls, path: Path) -> Catalogue:
        """The catalogue as the suite's program writes it."""
        return msgspec.json.decode(path.read_bytes(), type=cls)

    def profile(self, name: str) -> Profile:
        """The profile of that name; Failure if the suite has none."""
        for profile in self.profiles:
            if profile.name == name.upper():
                return profile
        raise Failure(f"There is no profile {name}. There are {', '.join(profile.name for profile in self.profiles)}.")

    def claimed(self, features: Iterable[str]) -> tuple[Profile, ...]:
        """The profiles whose core features are all among these."""
        have = set(features)
        return tuple(profile for profile in self.profiles if have.issuperset(profile.core))

    def named(self, patterns: Sequence[str]) -> tuple[SuiteTest, ...]:
        """The tests of these names, in which ``*`` and ``?`` stand for anything. Failure for one that names none."""
        for pattern in patterns:
            if not any(fnmatch.fnmatchcase(test.name, pattern) for test in self.tests):
                near = difflib.get_close_matches(pattern, [test.name for test in self.tests], 3)
                raise Failure(f"There is no test {pattern}." + (f" Is it {' or '.join(near)}?" if near else ""))
        return tuple(t for t in self.tests if any(fnmatch.fnmatchcase(t.name, pattern) for pattern in patterns))

    def counted(self, profiles: Iterable[Profile]) -> tuple[SuiteTest, ...]:
        """The tests that any of these profiles counts."""
        chosen = tuple(profiles)
        return tuple(test for test in self.tests if any(profile.level(test) for profile in chosen))
