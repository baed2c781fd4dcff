"""Run a short command of this machine."""

from __future__ import annotations

import asyncio


class CommandFailed(Exception):
    """A command said that it failed; the text is what it said."""


async def run(*argv: str, lines: str = "") -> str:
    """The output of a command that is given some lines. Raises CommandFailed."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate(lines.encode())
    said = output.decode(errors="replace")
    if process.returncode:
        raise CommandFailed(f"{' '.join(argv)}: {said.strip()}")
    return said
