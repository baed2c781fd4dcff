"""Whatever happens to files, in any order: nothing is lost that is still written, and in the end nothing is left over.

The law, after every look: an object whose document is good is served as written; one whose document is broken is served
as it was last; once everything is mended, what is served equals what a fresh start would serve.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from tests.sources.world import SYNTAX_ERROR, WRONG_TYPE, World, file_of, route
from trilithon.resources.decode import Resource
from trilithon.resources.meta import Key
from trilithon.sources.folder.files import HOLD_SECONDS, FileSource


class Text(Struct):
    """A document as its author thinks of it."""

    name: str
    host: str
    state: str = "good"

    def __str__(self) -> str:
        if self.state == "garbled":
            return f"{SYNTAX_ERROR}# {self.host}\n"
        if self.state == "wrong":
            return route(self.name, spec=f"{WRONG_TYPE}# {self.host}\n")
        return route(self.name, self.host)


class Author:
    """Edits a folder at random, and knows what must be served."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        self.files: dict[str, list[Text]] = {}
        self.last_good: dict[str, str] = {}
        self.touched: set[str] = set()
        self.moved: set[str] = set()
        self.names = iter(range(10_000))

    def write(self, name: str) -> None:
        path = self.world.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(file_of(*map(str, self.files[name])) or "# nothing\n")
        self.touched.add(name)

    def pick(self) -> tuple[str, int] | None:
        """A random document, by file and position."""
        places = [(name, at) for name, texts in self.files.items() for at in range(len(texts))]
        return self.chance.choice(places) if places else None

    def add_file(self) -> None:
        name = f"{self.chance.choice(['', 'sub/'])}f{next(self.names)}.yaml"
        self.files[name] = [Text(f"r{next(self.names)}", "new.test") for _ in range(self.chance.randint(1, 4))]
        self.write(name)

    def add_document(self) -> None:
        if self.files:
            name = self.chance.choice(sorted(self.files))
            at = self.chance.randint(0, len(self.files[name]))
            self.files[name].insert(at, Text(f"r{next(self.names)}", "new.test"))
            self.write(name)

    def edit(self) -> None:
        if place := self.pick():
            text = self.files[place[0]][place[1]]
            text.host = f"h{next(self.names)}.test"
            # Nobody can know a document that came from elsewhere and lost its name before anybody looked.
            garbled = "wrong" if text.name in self.moved else "garbled"
            text.state = self.chance.choice(["good", "good", garbled, "wrong"])
            self.write(place[0])

    def move(self) -> None:
        """Move a document; one whose name cannot be read stays in its file, where its place tells what it was."""
        if place := self.pick():
            text = self.files[place[0]].pop(place[1])
            name = place[0] if text.state == "garbled" else self.chance.choice(sorted(self.files))
            self.files[name].insert(self.chance.randint(0, len(self.files[name])), text)
            if name != place[0]:
                self.moved.add(text.name)
            self.write(name)
            self.write(place[0])

    def delete_document(self) -> None:
        if place := self.pick():
            self.last_good.pop(self.files[place[0]].pop(place[1]).name, None)
            self.write(place[0])

    def rename_file(self) -> None:
        if self.files:
            name, new = self.chance.choice(sorted(self.files)), f"f{next(self.names)}.yaml"
            (self.world.folder / name).rename(self.world.folder / new)
            self.files[new] = self.files.pop(name)
            self.touched |= {name, new}

    def delete_file(self) -> None:
        if len(self.files) > 1:
            name = self.chance.choice(sorted(self.files))
            for text in self.files.pop(name):
                self.last_good.pop(text.name, None)
            (self.world.folder / name).unlink()
            self.touched.add(name)

    def mend_everything(self) -> None:
        for name, texts in self.files.items():
            for text in texts:
                text.state = "good"
            self.write(name)

    def look(self) -> None:
        self.world.look(*(self.touched if self.chance.random() < 0.5 else ()))
        self.touched.clear()
        self.moved.clear()
        for texts in self.files.values():
            self.last_good.update((text.name, text.host) for text in texts if text.state == "good")
        written = {text.name for texts in self.files.values() for text in texts}
        expected = {name: host for name, host in self.last_good.items() if name in written}
        assert {name: host for name, host in self.world.hosts.items() if name in written} == expected


STEPS = ("add_file", "add_document", "edit", "edit", "edit", "move", "delete_document", "rename_file", "delete_file")


def unversioned(resources: Mapping[Key, Resource]) -> dict[Key, Resource]:
    return {key: replace(resource, generation=1) for key, resource in resources.items()}


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 40))
def test_nothing_is_lost_and_nothing_is_left_over(seed: int, steps: int) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        author = Author(world, chance)
        author.add_file()
        author.look()
        for _ in range(steps):
            getattr(author, chance.choice(STEPS))()
            if chance.random() < 0.8:
                author.look()
        author.mend_everything()
        author.look()
        world.clock.now += HOLD_SECONDS
        world.look()
        fresh = FileSource([world.folder])
        fresh.load()
        assert unversioned(world.source.resources) == unversioned(fresh.resources)
        assert world.source.problems() == ()
