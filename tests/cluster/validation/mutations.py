"""Makes wrong and odd documents out of good ones: each number is one document, the same for ever.

A change aims by the schema: just beyond a limit, a list one entry too long, a second entry of the same name, a value of
another type. Others blunder: a field less, a field more, parts of two documents in one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random
from typing import Any

import re2
from msgspec import Struct

from tests.cluster.validation.schemas import Schema, schema_of
from tests.cluster.validation.seeds import Document, Seed, seeds

# What breaks or just passes the patterns of names, hostnames, paths, durations, headers and addresses.
WORDS = (
    *(
        "",
        " ",
        "a",
        "A",
        "0",
        "a b",
        "a-b",
        "-a",
        "a-",
        "a.b",
        ".a",
        "a.",
        "a..b",
        "a_b",
        "a/b",
        "/",
        "/a",
        "//",
        "/a/../b",
    ),
    *(
        "/a/.",
        "/a/..",
        "/%2f",
        "/%zz",
        "/a#b",
        "/a?b",
        "/ä",
        "ä",
        "a\n",
        "\n",
        "a\tb",
        "a\u2028",
        "\x00",
        "*",
        "*.a",
        "*.a.test",
    ),
    *(
        "a.*",
        "**",
        "a.test",
        "A.test",
        "a.test.",
        "a.test:80",
        "192.0.2.1",
        "010.0.0.1",
        "1.2.3",
        "2001:db8::1",
        "[::1]",
    ),
    *(
        "0s",
        "10s",
        "1h30m",
        "100ms",
        "1.5s",
        "-1s",
        "100000s",
        "1h1m1s1ms1s",
        "10",
        "1d",
        "http://a.test",
        "https://*.a.test",
    ),
    *("https://a.test:99999", "ftp://a.test", "http://*", "null", "example.com/a", "example.com/", "example.com/a/b"),
    *(
        "HTTP",
        "HTTPS",
        "TLS",
        "TCP",
        "UDP",
        "http",
        "Gateway",
        "Service",
        "Secret",
        "ConfigMap",
        "gateway.networking.k8s.io",
    ),
    *(
        "IPAddress",
        "Hostname",
        "NamedAddress",
        "x" * 63,
        "x" * 64,
        "x" * 128,
        "x" * 129,
        "x" * 253,
        "x" * 254,
        "x" * 4097,
    ),
    *(
        "Content-Type",
        "X-Header",
        "x:y",
        "a, b",
        "(",
        "a+b",
        "GET",
        "get",
        "Terminate",
        "Passthrough",
        "All",
        "Same",
        "Selector",
    ),
)
NUMBERS = (-(2**63) - 1, -(2**31) - 1, -1, 0, 1, 80, 99, 100, 101, 65535, 65536, 2**31 - 1, 2**31, 2**63 - 1, 2**63)
# Values of every type; those of floats matter because JSON has one kind of number.
ANYTHING: tuple[Any, ...] = (
    *("a", "80", "true", ""),
    *(1, 80, 80.0, 80.5, 1e20, True, False),
    [],
    {},
    ["a"],
    {"a": "b"},
)


class Case(Struct, frozen=True):
    """One document to ask about: from where, and what was changed."""

    name: str
    channel: str
    kind: str
    document: Document
    changes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.channel} {self.name}: {'; '.join(self.changes) or 'as published'}"


class Place(Struct):
    """A value in a document: what holds it, under which key, and what the schema says of it."""

    holder: Any
    key: Any
    path: str
    schema: Schema

    @property
    def value(self) -> Any:
        return self.holder[self.key]

    @value.setter
    def value(self, value: Any) -> None:
        self.holder[self.key] = value


def originals(channel: str) -> list[Case]:
    """Every document as published."""
    return [Case(seed.origin, channel, seed.kind, seed.document) for seed in seeds(channel)]


def mutation(channel: str, seed: int, number: int) -> Case:
    """The document of this number."""
    rng = Random(f"{seed}/{channel}/{number}")
    kinds = sorted({entry.kind for entry in seeds(channel)})
    # HTTPRoute and Gateway hold most of the rules.
    weights = [{"HTTPRoute": 10, "Gateway": 6, "Service": 3, "EndpointSlice": 2}.get(kind, 1) for kind in kinds]
    kind = rng.choices(kinds, weights)[0]
    chosen = rng.choice([entry for entry in seeds(channel) if entry.kind == kind])
    document = copy.deepcopy(chosen.document)
    changes: list[str] = []
    for _ in range(rng.choice((1, 1, 1, 1, 2, 2, 3))):
        changes += _changed(document, chosen, channel, rng)
    return Case(f"--seed {seed} --number {number} ({chosen.origin})", channel, chosen.kind, document, tuple(changes))


def _changed(document: Document, seed: Seed, channel: str, rng: Random) -> list[str]:
    """One change that really changes something, in words."""
    root = schema_of(channel, seed.kind, seed.version)
    for _ in range(50):
        change = rng.choice(CHANGES)
        found = places(document, root)
        if not found:
            break
        place = rng.choice(found)
        before = copy.deepcopy(document)
        what = change(place, rng, seed, channel)
        if what and document != before:
            return [f"{place.path} {what}"]
        document.clear()
        document.update(before)
    return []


def places(document: Document, root: Schema) -> list[Place]:
    """Every value below the top, but for what says which kind it is."""
    found: list[Place] = []
    for name in [name for name in document if name not in ("apiVersion", "kind")]:
        _places(document, name, name, root.get("properties", {}).get(name, {}), found)
    return found


def _places(holder: Any, key: Any, path: str, schema: Schema, found: list[Place]) -> None:
    found.append(Place(holder, key, path, schema))
    value = holder[key]
    if isinstance(value, dict):
        for name in value:
            inner = schema.get("properties", {}).get(name) or schema.get("additionalProperties") or {}
            _places(value, name, f"{path}.{name}", inner, found)
    elif isinstance(value, list):
        for index in range(len(value)):
            _places(value, index, f"{path}[{index}]", schema.get("items") or {}, found)


# --- Values -----------------------------------------------------------------------------------------------------------
def sample(schema: Schema, rng: Random, depth: int = 0) -> Any:
    """A value that mostly fits the schema."""
    if "enum" in schema:
        return rng.choice(schema["enum"])
    match schema.get("type"):
        case "object":
            return _sample_object(schema, rng, depth)
        case "array":
            count = max(schema.get("minItems", 0), rng.choice((1, 1, 2, 3)))
            return [sample(schema["items"], rng, depth + 1) for _ in range(count)]
        case "integer":
            return rng.randint(schema.get("minimum", 0), min(schema.get("maximum", 1000), 100_000))
        case "boolean":
            return rng.random() < 0.5
        case "string":
            return _sample_text(schema, rng)
        case _:
            return rng.choice(ANYTHING)


def _sample_object(schema: Schema, rng: Random, depth: int) -> Any:
    if "additionalProperties" in schema and isinstance(schema["additionalProperties"], dict):
        keys = rng.sample(("a", "example.com/a", "A.b", "tls.crt", "app"), rng.choice((1, 1, 2)))
        return {key: sample(schema["additionalProperties"], rng, depth + 1) for key in keys}
    required = schema.get("required", ())
    likely = 0.5 if depth < 2 else 0.25
    properties = schema.get("properties", {})
    return {
        name: sample(part, rng, depth + 1)
        for name, part in properties.items()
        if name in required or rng.random() < likely
    }


def _sample_text(schema: Schema, rng: Random) -> str:
    words: tuple[str, ...] = tuple(schema.get("examples") or WORDS)
    fitting = [word for word in words if _fits(word, schema)]
    return rng.choice(fitting or words)


def _fits(word: str, schema: Schema) -> bool:
    if not schema.get("minLength", 0) <= len(word) <= schema.get("maxLength", 5000):
        return False
    return "pattern" not in schema or re2.search(schema["pattern"], word) is not None


# --- Changes ----------------------------------------------------------------------------------------------------------
# Each returns what it did, or "" where it fits nothing here.
Change = Callable[[Place, Random, Seed, str], str]


def drop(place: Place, _rng: Random, _seed: Seed, _channel: str) -> str:
    del place.holder[place.key]
    return "left out"


def make_null(place: Place, _rng: Random, _seed: Seed, _channel: str) -> str:
    place.value = None
    return "null"


def retype(place: Place, rng: Random, _seed: Seed, _channel: str) -> str:
    place.value = copy.deepcopy(rng.choice(ANYTHING))
    return f"= {place.value!r}"


def cross_number_limit(place: Place, rng: Random, _seed: Seed, _channel: str) -> str:
    if type(place.value) is not int:
        return ""
    low, high = place.schema.get("minimum"), place.schema.get("maximum")
    edges = [*NUMBERS, *((low, low - 1) if low is not None else ()), *((high, high + 1) if high is not None else ())]
    place.value = rng.choice(edges)
    return f"= {place.value}"


def cross_length_limit(place: Place, rng: Random, _seed: Seed, _channel: str) -> str:
    value, limits = place.value, place.schema
    if not isinstance(value, str) or not ({"minLength", "maxLength"} & set(limits)):
        return ""
    length = rng.choice([edge for edge in (limits.get("maxLength"), limits.get("maxLength", -1) + 1) if edge] or [0])
    place.value = (value * (length // len(value) + 1))[:length] if value and rng.random() < 0.5 else "a" * length
    return f"is {length} characters long"


def other_word(place: Place, rng: Random, _seed: Seed, _channel: str) -> str:
    if not isinstance(place.value, str):
        return ""
    place.value = rng.choice(place.schema.get("examples") or WORDS) if rng.random() < 0.7 else rng.choice(WORDS)
    return f"= {place.value[:70]!r}"


def spoil_word(place: Place, rng: Random, _seed: Seed, _channel: str) -> str:
    value = place.value
    if not isinstance(value, str):
        return ""
    spoilt = (value.upper(), value.lower(), f"{value} ", f" {value}", f"{value}\n", value[:-1], value[1:], f"{value}ä")
    place.value = rng.choice((*spoilt, f"{value}.", f"{value}/", f"-{value}", f"*.{value}", value * 2))
    return f"= {place.value[:70]!r}"


def other_choice(place: Place, rng: Random, _seed: Seed, _channel: str) -> str:
    if "enum" not in place.schema:
        return ""
    place.value = rng.choice(place.schema["enum"])
    return f"= {place.value!r}"


def repeat_entry(place: Place, rng: Random, _seed: Seed, _channel: str) -> str:
    value = place.value
    if not isinstance(value, list) or not value:
        return ""
    entry = copy.deepcopy(rng.choice(value))
    if isinstance(entry, dict) and entry and rng.random() < 0.5:
        # Alike but for one field.
        del entry[rng.choice(list(entry))]
    value.insert(rng.randint(0, len(value)), entry)
    return "has an entry twice"


def fill_list(place: Place, rng: Random, _seed: Seed, _channel: str) -> str:
    value, most = place.value, place.schema.get("maxItems")
    if not isinstance(value, list) or not value or most is None or most > 1000:
        return ""
    count = most + rng.choice((0, 1))
    place.value = [_numbered(rng.choice(value), index) for index in range(count)]
    return f"has {count} entries"


def _numbered(entry: Any, number: int) -> Any:
    """A copy of a list's entry that differs from all others."""
    if isinstance(entry, str):
        return f"{number}{entry}" if entry[:1].isalnum() else f"{entry}{number}"
    if isinstance(entry, int):
        return entry + number
    copied = copy.deepcopy(entry)
    if isinstance(copied, dict):
        for name, step in (("name", str), ("value", str), ("port", int)):
            if name in copied and isinstance(copied[name], step):
                copied[name] = _numbered(copied[name], number)
    return copied


def fill_table(place: Place, rng: Random, _seed: Seed, _channel: str) -> str:
    most = place.schema.get("maxProperties")
    if not isinstance(place.value, dict) or most is None:
        return ""
    count = most + rng.choice((0, 1))
    place.value = {f"a{index}": "b" for index in range(count)}
    return f"has {count} entries"


def add_unknown_field(place: Place, rng: Random, _seed: Seed, _channel: str) -> str:
    if not isinstance(place.value, dict):
        return ""
    near = [f"{name}s" for name in place.schema.get("properties", {})]
    name = rng.choice([*near, "zzz", "name ", "Name", "ä"])
    if name in place.schema.get("properties", {}):
        return ""
    place.value[name] = copy.deepcopy(rng.choice((*ANYTHING, None)))
    return f"has {name!r}"


def add_key(place: Place, rng: Random, _seed: Seed, _channel: str) -> str:
    """In a table, an entry under an odd key."""
    inner = place.schema.get("additionalProperties")
    if not isinstance(place.value, dict) or not isinstance(inner, dict):
        return ""
    key = rng.choice(
        (*WORDS, "x" * 63 + "/a", "a/" + "x" * 63, "a/" + "x" * 64, "A.com/a", f"{'x' * 63}.{'x' * 200}/a")
    )
    place.value[key] = sample(inner, rng)
    return f"has {key[:70]!r}"


def add_field(place: Place, rng: Random, _seed: Seed, _channel: str) -> str:
    """A field that exists and was not given, with a value that mostly fits: so that fields meet."""
    absent = [
        name for name in place.schema.get("properties", {}) if isinstance(place.value, dict) and name not in place.value
    ]
    if not absent:
        return ""
    name = rng.choice(absent)
    place.value[name] = sample(place.schema["properties"][name], rng)
    return f"has {name} = {str(place.value[name])[:70]}"


def replace_by_sample(place: Place, rng: Random, _seed: Seed, _channel: str) -> str:
    if not place.schema.get("type") or place.path in ("spec", "metadata"):
        return ""
    place.value = sample(place.schema, rng)
    return f"= {str(place.value)[:70]}"


def graft(place: Place, rng: Random, seed: Seed, channel: str) -> str:
    """The same part of another document."""
    others = [entry for entry in seeds(channel) if entry.kind == seed.kind and entry.document is not seed.document]
    if not others or not place.schema.get("type"):
        return ""
    other = rng.choice(others)
    same = [
        found.value
        for found in places(other.document, schema_of(channel, other.kind, other.version))
        if found.schema is place.schema
    ]
    if not same:
        return ""
    place.value = copy.deepcopy(rng.choice(same))
    return f"is that of {other.origin}"


CHANGES: tuple[Change, ...] = (
    drop,
    make_null,
    retype,
    cross_number_limit,
    cross_length_limit,
    other_word,
    other_word,
    spoil_word,
    other_choice,
    repeat_entry,
    fill_list,
    fill_table,
    add_unknown_field,
    add_key,
    add_field,
    add_field,
    add_field,
    replace_by_sample,
    graft,
    graft,
)
