"""How many of the imports between modules stay inside a room: `python -m tests.import_edges`."""

from dataclasses import dataclass
from typing import Final

import grimp

_PACKAGE: Final = "retail_clusters"
#: What every room stands on; an import of it says nothing about rooms.
_GROUND: Final = frozenset({"errors", "schema", "settings"})


@dataclass(frozen=True)
class Edges:
    """Imports between modules of rooms: all, and those within one room."""

    all: int
    inside: int

    @property
    def share(self) -> float:
        """Return the share that stays inside a room."""
        return self.inside / self.all


def count_edges(*, with_ground: bool = True) -> Edges:
    """Count the imports between modules; with or without those of the ground floor."""
    graph = grimp.build_graph(_PACKAGE)
    edges = [
        (importer, imported)
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
        if with_ground or _room(imported) not in _GROUND
    ]
    return Edges(len(edges), sum(_room(one) == _room(other) for one, other in edges))


def _room(module: str) -> str:
    return [*module.split("."), ""][1]


if __name__ == "__main__":
    for what, with_ground in (("all", True), ("but for errors, schema and settings", False)):
        edges = count_edges(with_ground=with_ground)
        print(f"{edges.inside} of {edges.all} imports ({what}) stay inside a room: {edges.share:.0%}")
