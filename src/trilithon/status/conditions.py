"""Conditions: what a status says about one aspect of an object."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


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
