"""Draw the pipeline, as the engine itself declares it, in Mermaid."""

from __future__ import annotations

from trilithon.incremental import Engine, Node

# A source looks like a store, a table of groups like a subroutine.
_SHAPES = {"source": ("[(", ")]"), "each": ("[", "]"), "group": ("[[", "]]")}


def mermaid(engine: Engine) -> str:
    """A flow chart: a solid arrow for the table that another has its rows from, a dotted one for a recorded read.

    Only reads that happened are drawn, so the engine should hold resources of many sorts.
    """
    nodes = engine.graph()
    lines = ["flowchart LR"]
    for node in nodes:
        opening, closing = _SHAPES[node.shape]
        lines.append(f'    {_id(node.table)}{opening}"{node.table}"{closing}')
    for node in nodes:
        if node.source:
            label = f'|"{node.index}"|' if node.index else ""
            lines.append(f"    {_id(node.source)} -->{label} {_id(node.table)}")
        lines += (f"    {_id(read)} -.-> {_id(node.table)}" for read in _in_order(nodes, node.reads - {node.source}))
    return "\n".join(lines) + "\n"


def _in_order(nodes: tuple[Node, ...], names: frozenset[str]) -> list[str]:
    return [node.table for node in nodes if node.table in names]


def _id(table: str) -> str:
    return table.replace(" ", "_")
