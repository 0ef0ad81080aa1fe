"""Files of invoice lines: which count, what keeps one from being read, and the text of their lines.

A file is a location: a path, or a URI of any file system that Spark knows.
"""

import bz2
import csv
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.readwriter import DataStreamReader
from pyspark.sql.types import StringType, StructField, StructType

from retail_clusters import schema
from retail_clusters.errors import InputError
from retail_clusters.infra import locations, storage
from retail_clusters.infra.spark import WITHOUT_CHECKSUMS
from retail_clusters.infra.storage import FileStatus
from retail_clusters.settings import Columns

SUFFIXES: Final = (".csv", ".csv.gz", ".csv.bz2")
#: The same rule as a pattern of Spark's option `pathGlobFilter`; names with `.` or `_` in front Spark skips.
NAME_PATTERN: Final = "*.{csv,csv.gz,csv.bz2}"

#: A file that arrives late may be older than every other: by default Spark's streams skip it after a week.
_NEVER_TOO_OLD: Final = {"maxFileAge": "36500d"}
#: Folders in folders count, and `year=2011/` is a folder like any other, not a column.
_RECURSIVE: Final = {"recursiveFileLookup": "true"}
#: The paths are files' names, not patterns.
_LITERAL: Final = {"__globPaths__": "false"}
#: What `read_text` gives.
TEXT: Final = StructType([StructField(name, StringType()) for name in (schema.LINE, schema.SOURCE_FILE)])
_FILE: Final = "path string, modificationTime timestamp, length long, content binary"
_UNPACKERS: Final[Mapping[str, Callable[[IO[bytes]], Any]]] = {".gz": gzip.open, ".bz2": bz2.open}
_LONGEST_HEADER: Final = 65_536
#: What does not count when a line is compared with the header.
_IGNORED: Final = '" \t\ufeff'
_DAMAGE: Final = (EOFError, OSError, zlib.error)
_PIECE: Final = 1 << 20

GONE: Final = "the file was gone before it could be read"
DAMAGED: Final = "the file cannot be unpacked to its end"

_USUAL: Final = Columns()


def list_files(data: str) -> list[FileStatus]:
    """List the CSV files of a folder and the folders in it, of a pattern, or of a single path, by name.

    Raises:
        InputError: there is no such path, or no CSV file in it.
    """
    storage.check(data)
    matches = storage.expand(data)
    found = [file for match in matches for file in _files_of(match, named=match == data)]
    if found:
        return found
    if storage.is_folder(data):
        raise InputError(
            f"data needs at least one CSV file, but found none in the folder {locations.for_display(data)}: "
            "name the folder that holds them, or make some with the entry point generate"
        )
    raise InputError(
        f"data must name a folder, a file or a pattern, but found no such path: {locations.for_display(data)} "
        "(relative paths start at the working folder)"
    )


def find_files(data: str) -> list[str]:
    """Return the locations of what `list_files` lists."""
    return [file.location for file in list_files(data)]


def check_data(data: str, columns: Columns = _USUAL) -> list[FileStatus]:
    """List the files and check their headers.

    Raises:
        InputError: there is no file, or one that cannot be read as invoice lines.
    """
    files = list_files(data)
    check_headers([file.location for file in files], columns)
    return files


def header(columns: Columns = _USUAL) -> str:
    """Return the header that files must have: the columns' names, in their order."""
    return ",".join(columns.names)


def is_header(line: str, columns: Columns = _USUAL) -> bool:
    """Tell whether a line is the header, which may come again anywhere in a file.

    Quotes, a byte order mark, and spaces around the names do not count.
    """
    return columns.names[0] in line and _compact(line) == _compact(header(columns))


def _is_header_column(line: Column, columns: Columns) -> Column:
    """Do as `is_header` does; the second condition alone would take longer than reading."""
    compact = F.translate(line, _IGNORED, "")
    return line.contains(columns.names[0]) & (compact == _compact(header(columns)))


def _difference(line: str, columns: Columns) -> str:
    """Say what a first line that is not the header lacks, and what stands there."""
    found = _names(line)
    if len(found) < 2 and (other := next((sign for sign in ";\t|" if sign in line), None)):
        return (
            f"the header has no comma: is the separator {other!r}? It must be a comma; found {line[:200]!r}"
        )
    missing = [name for name in columns.names if name not in found]
    extra = [name for name in found if name not in columns.names]
    if missing or extra:
        parts = [f"no column {', '.join(missing)}"] if missing else []
        parts += [f"found {', '.join(extra)[:200]!r}"] if extra else []
        return f"the header differs: {'; '.join(parts)} (other names are a matter of the settings columns)"
    return f"the header's columns stand in another order: {line[:200]}"


def header_problem(file: str, columns: Columns = _USUAL) -> str | None:
    """Say why a file's name or first line keeps it from being read; None when nothing does."""
    if not locations.is_utf8(file):
        return "the file's name is not UTF-8, and Spark opens no such file: rename it"
    line = _first_line(file)
    if line is None:
        return "the file cannot be read as CSV text"
    if not line:
        return "the file is empty"
    return None if is_header(line, columns) else _difference(line, columns)


def problem(file: str, columns: Columns = _USUAL) -> str | None:
    """Say why no line of a file can be trusted; None when nothing is wrong with the file as a whole."""
    return damage(file) or header_problem(file, columns)


def damage(file: str) -> str | None:
    """Say that a file is gone, or that a packed one does not unpack to its end; None when neither is so.

    Reads a packed file to its end.
    """
    if not storage.is_file(file):
        return GONE
    if not is_packed(file):
        return None
    try:
        with open_unpacked(file) as stream:
            while stream.read(_PIECE):
                pass
    except InputError:
        return GONE
    except _DAMAGE:
        return DAMAGED
    return None


def quarantine_rows(file: str, *, reason: str, columns: Columns = _USUAL) -> Iterator[dict[str, str | None]]:
    """Return each line that is there, but headers and blank ones, as a quarantined line.

    One row without a line if there is none. Of a damaged file the lines before the damage are there. Bytes
    that are not UTF-8 show as U+FFFD.
    """
    row = {schema.LINE: None, schema.REASON: reason, schema.SOURCE_FILE: source_name(file)}
    empty = True
    for line in () if reason == GONE else _lines(file):
        if line.strip(" ") and not is_header(line, columns):
            empty = False
            yield row | {schema.LINE: line}
    if empty:
        yield row


def source_name(file: str) -> str:
    """Name a file as Spark's `_metadata.file_path` does, in text that is UTF-8 whatever the name is."""
    return locations.for_display(locations.quoted(file))


def check_headers(files: Sequence[str], columns: Columns = _USUAL) -> None:
    """Refuse files whose header is not that of invoice lines.

    Raises:
        InputError: names the first such file, what it lacks and what was found.
    """
    for file in files:
        problem = header_problem(file, columns)
        if problem:
            raise InputError(
                f"{locations.for_display(file)}: {problem}; the header must be {header(columns)}"
            )


def read_lines(spark: SparkSession, files: Sequence[str], *, columns: Columns = _USUAL) -> DataFrame:
    """Read the files' lines as text: `line` and `source_file`, without headers and blank lines.

    Rows come in no particular order.
    """
    return lines_of(read_text(spark, files), columns=columns)


def read_text(spark: SparkSession, files: Sequence[str]) -> DataFrame:
    """Read all that stands in files, as `line` and `source_file`."""
    if not files:
        return spark.createDataFrame([], TEXT)
    reader = spark.read.options(**_LITERAL, **_RECURSIVE)
    if any(":" in locations.local_path(file) for file in files if locations.is_local(file)):
        reader = reader.options(**WITHOUT_CHECKSUMS)
    return _with_source(reader.text([locations.to_uri(file) for file in files]))


def lines_of(text: DataFrame, *, columns: Columns = _USUAL) -> DataFrame:
    """Leave headers and blank lines out of a text."""
    line = F.col(schema.LINE)
    return text.where(~_is_header_column(line, columns) & (F.trim(line) != ""))


def read_line_stream(
    spark: SparkSession, data: str, *, max_files_per_trigger: int, columns: Columns = _USUAL
) -> DataFrame:
    """Read lines as files arrive, by the rules of `find_files` and `read_lines`.

    A packed file that is damaged gives the lines before the damage, and one that is gone gives none: a caller
    that must know asks `damage`.
    """
    reader, place = _stream(spark, data, max_files_per_trigger)
    reader = reader.options(ignoreCorruptFiles="true", ignoreMissingFiles="true")
    return lines_of(_with_source(reader.text(place)), columns=columns)


def read_arriving(spark: SparkSession, data: str, *, max_files_per_trigger: int, **options: str) -> DataFrame:
    """Read which files arrive, by the rules of `find_files`: `path`, `length` and `modificationTime`.

    None is opened; those of length 0 are not seen. `options` are those of Spark's reader.
    """
    reader, place = _stream(spark, data, max_files_per_trigger)
    return reader.options(**options).format("binaryFile").schema(_FILE).load(place).drop("content")


def loops(file: str, *, source: str) -> bool:
    """Tell whether a file's path leads through a folder twice, by a link to a folder that it stands in.

    Spark's streams follow such a link forty times; `find_files` lists each folder once.
    """
    if not locations.is_local(file):
        return False
    folders = [locations.parent(file)]
    while folders[-1] != source and locations.parent(folders[-1]) != folders[-1]:
        folders.append(locations.parent(folders[-1]))
    return any(
        locations.is_within(above, below)
        for at, below in enumerate(folders[:-1])
        for above in folders[at + 1 :]
    )


def looping_links(data: str) -> list[str]:
    """List the links in a folder, and in the folders in it, that lead to a folder that they stand in."""
    found: list[str] = []
    waiting = [data] if locations.is_local(data) and storage.is_folder(data) else []
    while waiting:
        here = waiting.pop()
        for folder in storage.list_folders(here):
            looping = loops(locations.join(folder, "file"), source=data)
            (found if looping else waiting).append(folder)
    return sorted(found)


def fingerprint(files: Sequence[FileStatus]) -> str:
    """Return a digest that changes whenever a file is written, moved, added or removed; reads no content."""
    facts = [
        (locations.to_uri(file.location), file.length, file.modified_ms, file.changed_ns) for file in files
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


@contextmanager
def open_unpacked(file: str) -> Iterator[IO[bytes]]:
    """Open a file as the stream of bytes that its lines are in."""
    with storage.open_read(file) as stream:
        unpacker = _UNPACKERS.get(suffix(file))
        yield unpacker(stream) if unpacker else stream


def suffix(file: str) -> str:
    """Return the last suffix of a file's name, such as `.gz`."""
    _, dot, end = locations.name(file).rpartition(".")
    return f"{dot}{end}"


def is_packed(file: str) -> bool:
    """Tell whether a file is unpacked as it is read."""
    return suffix(file) in _UNPACKERS


def _files_of(match: str, *, named: bool) -> list[FileStatus]:
    status = storage.status(match)
    if status is None:
        return []
    if status.is_folder:
        return storage.list_files(match, recursive=True, suffixes=SUFFIXES)
    name = locations.name(match)
    return [status] if named or (name.endswith(SUFFIXES) and not name.startswith((".", "_"))) else []


def _stream(spark: SparkSession, data: str, max_files_per_trigger: int) -> tuple[DataStreamReader, str]:
    """Return a reader of files as they arrive, and the place where it looks for them."""
    reader = spark.readStream.options(
        **_NEVER_TOO_OLD, **_RECURSIVE, maxFilesPerTrigger=max_files_per_trigger
    )
    if locations.is_local(data):
        reader = reader.options(**WITHOUT_CHECKSUMS)
    if not storage.is_file(data):
        reader = reader.option("pathGlobFilter", NAME_PATTERN)
    return reader, locations.literal(data) if storage.exists(data) else locations.to_uri(data)


def _with_source(text: DataFrame) -> DataFrame:
    source = F.col("_metadata.file_path").alias(schema.SOURCE_FILE)
    return text.select(F.col("value").alias(schema.LINE), source)


def _first_line(file: str) -> str | None:
    try:
        with open_unpacked(file) as stream:
            first = stream.readline(_LONGEST_HEADER).replace(b"\r", b"\n").split(b"\n", 1)[0]
            return first.decode("utf-8-sig")
    except (UnicodeDecodeError, EOFError, OSError, InputError):
        return None


def _names(line: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([line]), [])]
    except csv.Error:
        return []


def _compact(line: str) -> str:
    return line.translate({ord(sign): None for sign in _IGNORED})


def _lines(file: str) -> Iterator[str]:
    """Split a file's text at LF, CR and CRLF, as Spark does."""
    with open_unpacked(file) as stream:
        raw = _UntilDamage(stream) if is_packed(file) else stream
        with io.TextIOWrapper(io.BufferedReader(raw), "utf-8", errors="replace") as text:  # type: ignore[type-var]
            for number, line in enumerate(text):  # Python's "utf-8-sig" loses a mark that is cut
                yield line.rstrip("\n").removeprefix("" if number else "\ufeff")


class _UntilDamage(io.RawIOBase):
    """What unpacks of a packed stream before the damage."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        """Say that bytes can be read."""
        return True

    def readinto(self, into: Any, /) -> int:
        """Fill a buffer with the next bytes."""
        try:
            piece: bytes = self._stream.read1(len(into))  # type: ignore[attr-defined]
        except _DAMAGE:
            return 0
        into[: len(piece)] = piece
        return len(piece)
