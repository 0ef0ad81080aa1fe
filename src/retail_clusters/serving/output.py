"""Where a scorer's lines and records are: the layout of OUTPUT, as docs/scoring.md tells it."""

from dataclasses import dataclass
from typing import Final

from pyspark.sql.types import IntegerType, StructField, StructType

from retail_clusters import schema
from retail_clusters.infra import storage
from retail_clusters.infra.locations import join, name

SCORED: Final = "scored"
COMPACTED: Final = "compacted"
_COMMITS: Final = "commits"
_RECORD: Final = ".json"

#: A scored line.
SCORED_LINE: Final = StructType(
    [
        *schema.INVOICE_LINE,
        StructField(schema.PREDICTION, IntegerType()),
        StructField(schema.MODEL_VERSION, IntegerType()),
        *(field for field in schema.QUARANTINED_LINE if field.name == schema.SOURCE_FILE),
    ]
)


@dataclass(frozen=True)
class Output:
    """The folder of a scorer's result."""

    location: str

    @property
    def scored(self) -> str:
        """Name the folder of scored lines."""
        return join(self.location, SCORED)

    @property
    def quarantine(self) -> str:
        """Name the folder of quarantined lines."""
        return join(self.location, schema.QUARANTINE)

    @property
    def commits(self) -> str:
        """Name the folder of the batches' records."""
        return join(self.location, _COMMITS)

    @property
    def compacted(self) -> str:
        """Name the folder of compacted lines."""
        return join(self.location, COMPACTED)

    @property
    def manifest(self) -> str:
        """Name the object that says what has been compacted."""
        return join(self.commits, f"{COMPACTED}{_RECORD}")

    @property
    def changed_files(self) -> str:
        """Name the list of files that changed after they were scored."""
        return join(self.location, "changed_files.json")

    def record(self, batch_id: int) -> str:
        """Name the record of a batch."""
        return join(self.commits, f"{batch_id}{_RECORD}")

    def scored_batch(self, batch_id: int) -> str:
        """Name the folder of a batch's scored lines."""
        return join(self.scored, f"{schema.BATCH_ID}={batch_id}")

    def quarantine_batch(self, batch_id: int) -> str:
        """Name the folder of a batch's quarantined lines."""
        return join(self.quarantine, f"{schema.BATCH_ID}={batch_id}")

    def committed(self) -> list[int]:
        """List the batches that have a record."""
        stems = (name(file.location).removesuffix(_RECORD) for file in _files(self.commits))
        return sorted(int(stem) for stem in stems if stem.isdecimal())

    def begun(self) -> list[int]:
        """List the batches that have lines, committed or not."""
        kinds = [folder for folder in (self.scored, self.quarantine) if storage.is_folder(folder)]
        names = [name(each).partition("=") for folder in kinds for each in storage.list_folders(folder)]
        return sorted({int(value) for key, _, value in names if key == schema.BATCH_ID and value.isdecimal()})


def _files(folder: str) -> list[storage.FileStatus]:
    return storage.list_files(folder, suffixes=(_RECORD,)) if storage.is_folder(folder) else []
