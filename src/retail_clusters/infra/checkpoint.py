"""What the checkpoint of one of Spark's file streams says: private formats of Spark, read here alone.

What a batch reads comes from its frame; here is what no frame tells.
"""

import json
from typing import Any, Final

from retail_clusters.errors import InputError
from retail_clusters.infra import storage
from retail_clusters.infra.locations import from_quoted, join, name

_COMPACTED: Final = ".compact"


def query_id(checkpoint: str) -> str | None:
    """Return the stream's identity, which a restart keeps; None before its first start."""
    text = storage.find_text(join(checkpoint, "metadata"))
    return str(json.loads(text)["id"]) if text else None


def has_started(checkpoint: str) -> bool:
    """Tell whether a stream has ever planned a batch."""
    return storage.is_folder(join(checkpoint, "offsets"))


def last_batch(checkpoint: str) -> int | None:
    """Return the last batch that the stream has committed; None before the first."""
    return max(_numbers(join(checkpoint, "commits")), default=None)


def committed_files(checkpoint: str) -> list[str]:
    """List the files of every committed batch, in the order in which Spark took them.

    A file of length 0 is in the log, though it is in no frame.
    """
    last = last_batch(checkpoint)
    if last is None:
        return []
    until = _reached(checkpoint, last)
    return [from_quoted(entry["path"]) for entry in _source_log(checkpoint, until)]


def _reached(checkpoint: str, batch: int) -> int:
    """Return the last number of the file log that a batch reaches; -1 for none."""
    _, source, *others = _lines(join(checkpoint, "offsets", str(batch)))
    if others:
        raise InputError(f"a stream must have one source of files, but {checkpoint} has {1 + len(others)}")
    return -1 if source == "-" else int(json.loads(source)["logOffset"])


def _source_log(checkpoint: str, until: int) -> list[dict[str, Any]]:
    """Read the file log up to a number, from the last compaction before it on."""
    log = join(checkpoint, "sources", "0")
    compacted = [at for at in _numbers(log, suffix=_COMPACTED) if at <= until]
    start = max(compacted, default=-1)
    single = sorted(at for at in _numbers(log) if start < at <= until)
    names = [f"{start}{_COMPACTED}"] * bool(compacted) + [str(at) for at in single]
    return [json.loads(line) for log_name in names for line in _lines(join(log, log_name))]


def _numbers(folder: str, *, suffix: str = "") -> list[int]:
    if not storage.is_folder(folder):
        return []
    names = [name(file.location) for file in storage.list_files(folder) if file.location.endswith(suffix)]
    return [int(stem) for found in names if (stem := found.removesuffix(suffix)).isdecimal()]


def _lines(log: str) -> list[str]:
    """Return the lines of a log after that of its version."""
    version, *lines = storage.read_text(log).strip("\n").split("\n")
    if version != "v1":
        raise InputError(
            f"a checkpoint's log must be of version v1, but {log} is of {version!r}: start a new checkpoint"
        )
    return lines
