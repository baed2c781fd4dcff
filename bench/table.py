"""Draw a table that reads well on a terminal and is Markdown too."""

from __future__ import annotations

from collections.abc import Sequence

Value = str | int | float | None


def cell(value: Value) -> str:
    """A number with three significant digits or none that mislead; nothing measured is a dash."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def table(columns: Sequence[str], rows: Sequence[Sequence[Value]]) -> str:
    """The rows under their columns; the first column is text, numbers stand to the right."""
    texts = [[cell(value) for value in row] for row in rows]
    right = [any(isinstance(row[at], int | float) for row in rows) for at in range(len(columns))]
    widths = [max(3, len(column), *(len(row[at]) for row in texts)) for at, column in enumerate(columns)]
    lines = [_line(columns, widths, right), _rule(widths, right), *(_line(row, widths, right) for row in texts)]
    return "\n".join(lines)


def _line(texts: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (f"{text:>{w}}" if r else f"{text:<{w}}" for text, w, r in zip(texts, widths, right, strict=True))
    return f"| {' | '.join(padded)} |"


def _rule(widths: Sequence[int], right: Sequence[bool]) -> str:
    return f"|{'|'.join('-' * (w + 1) + (':' if r else '-') for w, r in zip(widths, right, strict=True))}|"
