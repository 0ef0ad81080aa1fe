"""The names of a version's clusters: described when it was trained, or given by a person; kept as tags.

A number means the same cluster from one champion to the next, so a name that a person gave goes along with it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from retail_clusters.registry.models import ModelRegistry

#: Tags of a version: the name of each number; which of them a person gave on it; which were kept from the champion.
NAMES: Final = "cluster_names"
GIVEN: Final = "cluster_names_given"
KEPT: Final = "cluster_names_kept"
#: A digest of what a version asks: numbers mean the same only of versions that have the same.
QUESTION: Final = "question_digest"


@dataclass(frozen=True)
class ClusterNames:
    """The name of each number, and where it comes from.

    Attributes:
        given: numbers that a person has named for this version.
        kept: numbers whose name came from the champion before.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    given: frozenset[int] = frozenset()
    kept: frozenset[int] = frozenset()

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> "ClusterNames":
        """Read them from a version's tags; an earlier release has none."""
        found: dict[str, Any] = json.loads(tags.get(NAMES, "{}"))
        given, kept = (frozenset(json.loads(tags.get(name, "[]"))) for name in (GIVEN, KEPT))
        return cls({int(number): str(name) for number, name in found.items()}, given, kept)

    @classmethod
    def describing(cls, clusters: Iterable[int], names: Iterable[str]) -> "ClusterNames":
        """Return the names that describe clusters by their features."""
        return cls({int(number): str(name) for number, name in zip(clusters, names, strict=True)})

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags of a version that has these names."""
        names = {str(number): name for number, name in sorted(self.names.items())}
        return {
            NAMES: json.dumps(names, ensure_ascii=False),
            GIVEN: json.dumps(sorted(self.given)),
            KEPT: json.dumps(sorted(self.kept)),
        }

    def name(self, number: int) -> str:
        """Return the name of a number; of an earlier release's version, the number."""
        return self.names.get(number, f"cluster {number}")

    def origin(self, number: int) -> str:
        """Say where a name comes from."""
        kept = "kept from the champion before" if number in self.kept else "described by its features"
        return "given" if number in self.given else kept

    def with_given(self, named: Mapping[int, str]) -> "ClusterNames":
        """Give numbers other names."""
        return replace(
            self,
            names={**self.names, **named},
            given=self.given | named.keys(),
            kept=self.kept - named.keys(),
        )

    def following(self, before: "ClusterNames", *, back: bool = False) -> "ClusterNames":
        """Return the names of a version that follows a champion on the same numbers.

        What people named stays; on the way `back` to an earlier version, the later names stay.
        """
        carried = (before.given | before.kept) & self.names.keys()
        carried -= frozenset() if back else self.given
        return replace(
            self,
            names={**self.names, **{number: before.names[number] for number in carried}},
            given=self.given - carried,
            kept=self.kept | carried,
        )


def read_names(registry: ModelRegistry, version: str) -> ClusterNames:
    """Read the names of a version's clusters.

    Raises:
        RegistryError: the registry does not answer, or has no such version.
    """
    return ClusterNames.of(registry.read_version(version=version).tags)
