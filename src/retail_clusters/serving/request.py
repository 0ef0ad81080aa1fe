"""What a person asks a scorer for."""

from dataclasses import dataclass, field

from retail_clusters.infra.locations import join
from retail_clusters.infra.registry import CHAMPION
from retail_clusters.settings import Columns, Scoring


@dataclass(frozen=True)
class ScoreRequest:
    """What to score, where to, and by which alias.

    `checkpoint` is by default a folder of the output. With `rescore`, one file that changed is scored anew,
    and nothing else.
    """

    source: str
    output: str
    checkpoint: str | None = None
    once: bool = True
    model: str = "retail-clusters"
    alias: str = CHAMPION
    rescore: str | None = None
    settings: Scoring = field(default_factory=Scoring)
    columns: Columns = field(default_factory=Columns)

    @property
    def state(self) -> str:
        """Name the checkpoint that was chosen."""
        return self.checkpoint or join(self.output, "checkpoint")
