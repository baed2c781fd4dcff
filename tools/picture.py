"""Draw the pipeline into README.md and docs/architecture.md, between the marks; ``--check`` only compares."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from trilithon.inspect.graph import mermaid
from trilithon.model.settings import Settings
from trilithon.pipeline import build

MARKS = re.compile(r"(<!-- picture: begin -->\n).*?(<!-- picture: end -->)", re.DOTALL)
PAGES = ("README.md", "docs/architecture.md")


def with_picture(text: str) -> str:
    """A page with today's picture."""
    picture = f"```mermaid\n{mermaid(build(Settings()))}```\n"
    return MARKS.sub(lambda marks: marks[1] + picture + marks[2], text)


def main() -> int:
    """Write, or compare; 1 where a page is out of date."""
    stale = [page for page in PAGES if with_picture(Path(page).read_text()) != Path(page).read_text()]
    for page in stale:
        if "--check" in sys.argv:
            print(f"{page}: the picture is not today's pipeline; run: python tools/picture.py")
        else:
            Path(page).write_text(with_picture(Path(page).read_text()))
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
