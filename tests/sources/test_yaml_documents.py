"""YAML is read as kubectl reads it, document by document, and no text can hurt the reader.

https://yaml.org/spec/1.2.2/ , chapters 9.1 (documents) and 10 (schemas).
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trilithon.sources.folder.field_lines import line_of
from trilithon.sources.folder.yaml_documents import TEMPLATE_HINT, Parsed, Unreadable, parse, split
from trilithon.sources.folder.yaml_values import MAX_DEPTH, compose


def values(text: str) -> list[Any]:
    parsed = [parse(document) for document in split(text.encode())]
    return [one.value if isinstance(one, Parsed) else one.message for one in parsed]


def refusal(text: str | bytes) -> Unreadable:
    (document,) = split(text.encode() if isinstance(text, str) else text)
    parsed = parse(document)
    assert isinstance(parsed, Unreadable)
    return parsed


@pytest.mark.parametrize(
    ("text", "lines", "expected"),
    [
        pytest.param("a: 1\n---\nb: 2\n", [1, 3], [{"a": 1}, {"b": 2}], id="a marker begins a document"),
        pytest.param("---\na: 1\n...\n---\nb: 2", [2, 5], [{"a": 1}, {"b": 2}], id="three dots end a document"),
        pytest.param("", [], [], id="an empty file has no documents"),
        pytest.param("# c\n---\n# d\n---\n\n---\n", [], [], id="comments and markers alone are no documents"),
        pytest.param("# c\n---\n# d\na: 1\n", [3], [{"a": 1}], id="comments stand before and inside documents"),
        pytest.param(
            "%YAML 1.1\n---\na: 1\n---\nb: 2", [1, 5], [{"a": 1}, {"b": 2}], id="a directive is its document's"
        ),
        pytest.param("a: |\n  x\n---\nb: 2\n", [1, 4], [{"a": "x\n"}, {"b": 2}], id="a marker ends a block text"),
        pytest.param("a: |\n  ---\n  x\n", [1], [{"a": "---\nx\n"}], id="an indented marker is text"),
        pytest.param("a: ---\nb: '--- x'\n", [1], [{"a": "---", "b": "--- x"}], id="a marker inside a line is text"),
        pytest.param("---x: 1\n", [1], [{"---x": 1}], id="a marker needs a space or the line's end behind it"),
        pytest.param("--- {a: 1}\n--- # c\nb: 2", [1, 2], [{"a": 1}, {"b": 2}], id="content may follow a marker"),
        pytest.param("a: 1\r\n---\r\nb: 2\r\n", [1, 3], [{"a": 1}, {"b": 2}], id="line ends of Windows"),
        pytest.param("\ufeffa: 1\n", [1], [{"a": 1}], id="a byte order mark is no text"),
        pytest.param('{\n\t"a": [1,\n\t\t"x\\/y"]\n}\n', [1], [{"a": [1, "x/y"]}], id="JSON is YAML, with tabs"),
    ],
)
def test_documents(text: str, lines: list[int], expected: list[object]) -> None:
    assert [document.line for document in split(text.encode())] == lines
    assert values(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2026-01-01", "2026-01-01", id="a date is text"),
        pytest.param("2026-01-01T10:00:00Z", "2026-01-01T10:00:00Z", id="a time is text"),
        pytest.param("12:30", "12:30", id="a sexagesimal number is text"),
        pytest.param("0123", "0123", id="an octal number is text"),
        pytest.param("0x1F", "0x1F", id="a hexadecimal number is text"),
        pytest.param("1_000", "1_000", id="a number with underscores is text"),
        pytest.param("y", "y", id="one letter is text"),
        pytest.param("=", "=", id="an equals sign is text"),
        pytest.param("'1'", "1", id="a quoted number is text"),
        pytest.param("!!str 1", "1", id="a number tagged as text is text"),
        pytest.param("80", 80, id="a number"),
        pytest.param("-0", 0, id="minus nothing"),
        pytest.param("80.0", 80, id="JSON has one kind of number"),
        pytest.param("1.5", 1.5, id="a fraction"),
        pytest.param("1e3", 1000, id="an exponent"),
        pytest.param(".inf", ".inf", id="JSON has no infinity"),
        pytest.param("123456789012345678901234567890", 123456789012345678901234567890.0, id="a huge number"),
        pytest.param("yes", True, id="yes is a boolean to kubectl"),
        pytest.param("Off", False, id="off is a boolean to kubectl"),
        pytest.param("~", None, id="a tilde is null"),
        pytest.param("", None, id="nothing is null"),
    ],
)
def test_scalars(text: str, expected: object) -> None:
    (value,) = values(f"a: {text}\n")
    assert value == {"a": expected}
    assert type(value["a"]) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("1: a\ntrue: b\n1.5: c", {"1": "a", "true": "b", "1.5": "c"}, id="keys are text, as in JSON"),
        pytest.param("x: &x {a: 1}\ny: *x", {"x": {"a": 1}, "y": {"a": 1}}, id="an alias repeats its anchor"),
        pytest.param(
            "x: &x {a: 1, b: 1}\ny:\n  <<: *x\n  b: 2", {"x": {"a": 1, "b": 1}, "y": {"a": 1, "b": 2}}, id="<< merges"
        ),
        pytest.param(
            "x: &x {a: 1}\ny: &y {a: 2, b: 2}\nz: {<<: [*x, *y]}",
            {"x": {"a": 1}, "y": {"a": 2, "b": 2}, "z": {"a": 1, "b": 2}},
            id="the first of several merges wins",
        ),
        pytest.param('"<<": 1', {"<<": 1}, id="a quoted << is a key"),
    ],
)
def test_mappings(text: str, expected: object) -> None:
    assert values(text) == [expected]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("a: 1\nb: 2\na: 3\n", 2, 'the key "a" is given twice, in lines 1 and 3', id="duplicate key"),
        pytest.param("x: {b: 1, b: 2}\n", 0, 'the key "b" is given twice, in line 1', id="duplicate key in one line"),
        pytest.param("1: a\n'1': b\n", 1, 'the key "1" is given twice', id="duplicate once it is text"),
        pytest.param("a:\n\tb: 1\n", 1, "cannot start any token", id="tab"),
        pytest.param("a: b: c\n", 0, "mapping values are not allowed", id="two values"),
        pytest.param("a: 1\nb: [1,\nc: 2\n", 2, "that began in line 2", id="an open bracket, and where it was opened"),
        pytest.param(b"a: 1\nb: \xff\n", 1, "unreadable character", id="not UTF-8"),
        pytest.param("a: 1\n".encode("utf-16"), 0, "UTF-16", id="UTF-16"),
        pytest.param("a: 1\n".encode("utf-32"), 0, "UTF-32", id="UTF-32"),
        pytest.param("b: 1\na: {{ .Values.name }}\n", 1, "", id="a template"),
        pytest.param(b"a: 1\nb: \x00\n", 1, "control characters", id="a NUL byte"),
        pytest.param("a: !!python/object/apply:os.system [x]\n", 0, "tag", id="a tag of a programming language"),
        pytest.param("a: !!int abc\n", 0, "not a number", id="a tag that does not fit"),
        pytest.param("? [a]\n: 1\n", 0, "a key must be text", id="a key that is a list"),
        pytest.param("a: *nowhere\n", 0, "undefined alias", id="an alias of nothing"),
        pytest.param("a: &a [*a]\n", 0, "alias of itself", id="an alias inside its anchor"),
        pytest.param("a: {<<: 1}\n", 0, "merges mappings only", id="a merge of no mapping"),
        pytest.param("[" * 100_000, 0, "nested deeper", id="deep brackets"),
        pytest.param("- " * 100_000, 0, "nested deeper", id="a deep list in one line"),
        pytest.param(
            "\n".join(" " * depth + "a:" for depth in range(3_000)), MAX_DEPTH, "nested deeper", id="deep blocks"
        ),
        pytest.param("{a: " * 150 + "}" * 150, 0, "nested deeper", id="a little too deep"),
    ],
)
def test_refusals(text: str | bytes, line: int, words: str) -> None:
    refused = refusal(text)
    assert words in refused.message
    assert refused.line == line


def test_the_lines_of_a_duplicate_key_are_those_of_the_file() -> None:
    assert "in lines 4 and 5" in values("x: 1\n---\n# comment\na: 1\na: 2\n")[1]


def test_a_document_is_the_same_wherever_it_stands() -> None:
    first, second = split(b"a: 1\n---\na: 1\n")
    assert (first.digest, first.text) == (second.digest, second.text)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("line", ["# comment\r\n", " \t\r\n", "%YAML 1.1\r\n", "\n", "# \r \r\n"])
@pytest.mark.parametrize("end", ["a: 1", "b: 1\r\n---\r\na: 1", "%\r\nb: 1\r\n---\r\na: 1"])
def test_a_long_head_takes_no_longer_than_it_is(line: str, end: str) -> None:
    documents = split((line * 5_000 + end).encode())
    assert documents[-1].text.endswith(b"a: 1")


def test_a_tab_is_named_as_the_culprit() -> None:
    assert "tabs" in refusal("a:\n\tb: 1\n").hint


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"b{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 10)]
    assert "aliases" in refusal("\n".join(lines)).message


@pytest.mark.timeout(10)
def test_many_merges_beside_many_keys_take_no_longer_than_both_are() -> None:
    merges = ", ".join(["*a"] * 25_000)
    keys = "".join(f"  k{number}: 1\n" for number in range(25_000))
    (value,) = values(f"a: &a {{x: 1}}\nb:\n  <<: [{merges}]\n{keys}")
    assert (len(value["b"]), value["b"]["x"]) == (25_001, 1)


def test_merges_count_as_aliases() -> None:
    keys = ", ".join(f"k{number}: 1" for number in range(1_000))
    assert "aliases" in refusal(f"a: &a {{{keys}}}\nb: {{<<: [{', '.join(['*a'] * 51)}]}}\n").message


def test_a_chain_of_aliases_is_as_deep_as_what_it_stands_for() -> None:
    lines = ["a0: &a0 x"] + [f"a{level}: &a{level} [*a{level - 1}]" for level in range(1, 150)]
    assert "nested deeper" in refusal("\n".join(lines)).message


@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"---\n", b"...\n", b"%YAML 1.1\n", b"- [", b"&a ", b"*a "])))
def test_any_bytes_are_read_or_refused(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    documents = split(data)
    for document in documents:
        parse(document)
    assert sum(len(document.text) for document in documents) <= len(data)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(PLAIN.filter(lambda value: value is not None), max_size=4))
def test_what_is_dumped_is_read_back(documents: list[object]) -> None:
    text = yaml.safe_dump_all(documents, explicit_start=True)
    assert values(text) == documents


FIELDS = b"""\
# comment
apiVersion: v1
metadata:
  labels:
    app.kubernetes.io/name: web
    app: x
  name: web
spec:
  rules:
  - name: one
    backendRefs:
    - name: a
    - name: b
      port: 80
  - {name: two, backendRefs: [{name: c}]}
  base: &base
    merged: 1
  other:
    <<: *base
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        pytest.param("", 2, id="the object begins where its fields do"),
        pytest.param("metadata.name", 7, id="a field"),
        pytest.param("metadata.labels.app.kubernetes.io/name", 5, id="a key with dots"),
        pytest.param("metadata.labels[app.kubernetes.io/name]", 5, id="a key in brackets"),
        pytest.param("metadata.labels.app", 6, id="a key that another begins with"),
        pytest.param("spec.rules", 9, id="a list is where its key is"),
        pytest.param("spec.rules[0]", 10, id="an item"),
        pytest.param("spec.rules[0].backendRefs[1].port", 14, id="a field of an item of an item"),
        pytest.param("spec.rules[1].backendRefs[0].name", 15, id="a field in a flow mapping"),
        pytest.param("spec.rules[0].backendRefs[1].weight", 13, id="an absent field: the item around it"),
        pytest.param("spec.rules[7].name", 9, id="an absent item: the list around it"),
        pytest.param("spec.nothing.at.all", 8, id="an absent branch: the nearest field around it"),
        pytest.param("status", 2, id="an absent field at the top: the object"),
        pytest.param("spec.other.merged", 17, id="a merged field: where it was written"),
        pytest.param("metadata.name[0].x", 7, id="a path through a plain value"),
        pytest.param("][.[[", 2, id="a path that is none"),
    ],
)
def test_lines_of_fields(path: str, line: int) -> None:
    assert line_of(compose(FIELDS), path) + 1 == line


def test_a_template_is_recognised_and_what_begins_at_the_end_is_in_the_last_line() -> None:
    (document,) = split(b"metadata:\n  name: {{ .Values.name }}\n")
    template = parse(document)
    assert isinstance(template, Unreadable)
    assert (template.line, template.hint) == (1, TEMPLATE_HINT)
    (document,) = split(b"a: 1\nb: [1,\n")
    unended = parse(document)
    assert isinstance(unended, Unreadable)
    assert (unended.line, "line" in unended.message) == (1, False)
