"""Run commands in this process, as a shell would."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from trilithon.cli.main import main


def trilithon(*arguments: object) -> Result:
    """Run one command. An exception that is no exit is raised."""
    result = CliRunner().invoke(main, [str(each) for each in arguments], prog_name="trilithon")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def json_of(*arguments: object, status: int = 0) -> Any:
    """What a command prints as JSON."""
    result = trilithon(*arguments, "-o", "json")
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def refusal(*arguments: object, status: int = 2) -> str:
    """The one line with which a command refuses."""
    result = trilithon(*arguments)
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line
