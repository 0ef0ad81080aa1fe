"""Invoice lines in CSV files: found, their headers checked, read as text."""

import bz2
import csv
import gzip
import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any, Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.errors import InputError

HEADER: Final = ",".join(schema.COLUMNS)

_OPENERS: Final[dict[str, Callable[[Path], Any]]] = {".gz": gzip.open, ".bz2": bz2.open}
_SUFFIXES: Final = (".csv", ".csv.gz", ".csv.bz2")
_LONGEST_HEADER: Final = 65_536


def find_files(data: str) -> list[Path]:
    """List the CSV files (.csv, .csv.gz, .csv.bz2) of a folder, a glob or a single path, by name.

    Raises:
        InputError: there is no such path, or no CSV file in it.
    """
    path = Path(data)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if _is_csv(file))
        if not found:
            raise InputError(
                f"data needs at least one CSV file, but found none in the folder {data}: "
                "name the folder that holds them, or make some with the entry point generate"
            )
        return found
    matches = sorted(Path(name) for name in glob(data) if _is_csv(Path(name)))  # noqa: PTH207 - as the shell expands it
    if not matches:
        raise InputError(
            f"data must name a folder, a file or a glob, but found no such path: {data} "
            "(relative paths start at the project's folder)"
        )
    return matches


def header_problem(file: Path) -> str | None:
    """Say how a file's first line differs from the header of invoice lines; None when it does not."""
    line = _first_line(file)
    if line is None:
        return "the file cannot be read as CSV text"
    if not line:
        return "the file is empty"
    found = _names(line)
    if found == list(schema.COLUMNS):
        return None
    missing = [name for name in schema.COLUMNS if name not in found]
    extra = [name for name in found if name not in schema.COLUMNS]
    if missing or extra:
        parts = [f"no column {', '.join(missing)}"] if missing else []
        parts += [f"found {', '.join(extra)[:200]!r}"] if extra else []
        return f"the header differs: {'; '.join(parts)}"
    return f"the header's columns stand in another order: {line[:200]}"


def check_headers(files: Sequence[Path]) -> None:
    """Refuse files whose header is not that of invoice lines.

    Raises:
        InputError: names the first such file, what it lacks and what was found.
    """
    for file in files:
        problem = header_problem(file)
        if problem:
            raise InputError(f"{file}: {problem}; the header must be {HEADER}")


def read_lines(spark: SparkSession, files: Sequence[Path]) -> DataFrame:
    """Read the files' lines as text: `line` and `source_file`, without headers and blank lines.

    Rows come in no particular order. A line that repeats its header counts as a header.
    """
    headers = sorted({header for file in files if (header := _first_line(file))} | {HEADER})
    line = F.col("value")
    return (
        spark.read.text([str(file.absolute()) for file in files])
        .select(line.alias(schema.LINE), F.col("_metadata.file_path").alias(schema.SOURCE_FILE))
        .where(~F.col(schema.LINE).isin(headers) & (F.trim(schema.LINE) != ""))
    )


def fingerprint(files: Sequence[Path]) -> str:
    """Return a digest that changes whenever a file is written, moved, added or removed; reads no content."""
    stats = [(str(file.resolve()), file.stat()) for file in files]
    facts = [(name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in stats]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _is_csv(file: Path) -> bool:
    return file.is_file() and file.name.endswith(_SUFFIXES) and not file.name.startswith((".", "_"))


def _first_line(file: Path) -> str | None:
    opener = _OPENERS.get(file.suffix, partial(Path.open, mode="rb"))
    try:
        with opener(file) as stream:
            first: bytes = stream.readline(_LONGEST_HEADER)
            return first.decode("utf-8-sig").rstrip("\r\n")
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile, OSError):
        return None


def _names(line: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([line]), [])]
    except csv.Error:
        return []
