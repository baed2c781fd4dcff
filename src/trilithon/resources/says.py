"""Describe a field of our own kinds, for those who read its definition in a cluster (``kubectl explain``)."""

from __future__ import annotations

from typing import NamedTuple


class Says(NamedTuple):
    """What a field means, as an annotation of its type: ``replicas: Annotated[int, Says("How many pods.")]``."""

    text: str
