"""Conditions: what a status says about one aspect of an object."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from trilithon.resources.problem import Problem

# The API server refuses a longer message, and with it the whole status (metav1.Condition.message).
LONGEST_MESSAGE = 32_768


class Condition(Struct, frozen=True, gc=False):
    """One condition (metav1.Condition). The time of its last transition is the writer's to know."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    observed_generation: int

    def rendered(self) -> dict[str, object]:
        """The condition as it is written to a cluster, without lastTransitionTime."""
        return {
            "type": self.type,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "observedGeneration": self.observed_generation,
        }


def message_of(problems: Iterable[Problem]) -> str:
    """The problems as one message, each with its field; the same words are said once."""
    words = dict.fromkeys(f"{problem.path}: {problem.message}" for problem in problems)
    return within_limit("; ".join(words))


def within_limit(message: str) -> str:
    """A message cut to what the API server takes."""
    return message if len(message) <= LONGEST_MESSAGE else f"{message[: LONGEST_MESSAGE - 3]}..."
