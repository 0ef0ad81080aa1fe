"""Files of invoice lines: which count, what keeps one from being read, and the text of their lines.

A file is a location: a path, or a URI of any file system that Spark knows. docs/lines.md has the rules.
"""

import bz2
import csv
import gzip
import hashlib
import io
import json
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import IO, Any, Final

from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.readwriter import DataStreamReader
from pyspark.sql.types import StringType, StructField, StructType

from retail_clusters import schema
from retail_clusters.errors import InputError, RetailClustersError
from retail_clusters.infra import locations, storage, unpacking
from retail_clusters.infra.spark_settings import WITHOUT_CHECKSUMS
from retail_clusters.infra.storage import FileStatus
from retail_clusters.input_settings import Input, single_bytes
from retail_clusters.wording import pluralize

#: Whatever their case.
SUFFIXES: Final = (".csv", ".csv.gz", ".csv.bz2")
#: The same rule as a pattern of Spark's option `pathGlobFilter`; names with `.` or `_` in front Spark skips.
NAME_PATTERN: Final = "*.{[cC][sS][vV],[cC][sS][vV].[gG][zZ],[cC][sS][vV].[bB][zZ]2}"
#: What `read_text` gives.
TEXT: Final = StructType([StructField(name, StringType()) for name in (schema.LINE, schema.SOURCE_FILE)])

GONE: Final = "the file was gone before it could be read"
DAMAGED: Final = "the file cannot be unpacked to its end"

_USUAL: Final = Input()
_HIDDEN: Final = (".", "_")
#: A file that arrives late may be older than every other: by default Spark's streams skip it after a week.
_NEVER_TOO_OLD: Final = {"maxFileAge": "36500d"}
#: Folders in folders count, and `year=2011/` is a folder like any other, not a column.
_RECURSIVE: Final = {"recursiveFileLookup": "true"}
#: The paths are files' names, not patterns; no user's Hadoop settings cut a line.
_LITERAL: Final = {
    "__globPaths__": "false",
    "mapreduce.input.linerecordreader.line.maxlength": str(2**31 - 1),
}
_FILE: Final = "path string, modificationTime timestamp, length long, content binary"
_UNPACKERS: Final[Mapping[str, Callable[[IO[bytes]], Any]]] = {".gz": gzip.open, ".bz2": bz2.open}
_PACKED_BEGINS: Final = {".gz": b"\x1f\x8b", ".bz2": b"BZh"}
_DAMAGE: Final = (EOFError, OSError, zlib.error)
_LONGEST_HEADER: Final = 65_536
#: What does not count, beside quotes, when a line is compared with the header.
_IGNORED: Final = " \t\ufeff"
#: Names of columns that a command adds to lines.
_RESERVED: Final = frozenset(
    {schema.LINE, schema.REASON, schema.SOURCE_FILE, schema.PREDICTION, schema.MODEL_VERSION, schema.BATCH_ID}
)
#: How files begin that are no CSV text, and the way out.
_OTHERS: Final = (
    (b"\x1f\x8b", "gzip: give its name the ending .csv.gz"),
    (b"BZh", "bzip2: give its name the ending .csv.bz2"),
    (b"PK\x03\x04", "a zip archive, such as an Excel file: save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "an Excel file: save it as CSV"),
    (b"\xff\xfe", "UTF-16: save it as UTF-8, or convert it with iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff", "UTF-16: save it as UTF-8, or convert it with iconv -f UTF-16 -t UTF-8"),
    (b"PAR1", "Parquet: write it as CSV"),
    (b"(\xb5/\xfd", "zstd: unpack it, or pack it with gzip"),
    (b"\xfd7zXZ", "xz: unpack it, or pack it with gzip"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it"),
    (b"%PDF", "PDF: export the table as CSV"),
    (b"SQLite format 3", "an SQLite database: export the table as CSV"),
)


@dataclass(frozen=True)
class Layout:
    """The columns of a file in the order of its header.

    Attributes:
        names: the eight facts under the names of `schema.COLUMNS`, other columns as the header has them.
        header: the header without what does not count when a line is compared with it.
        word: a column as the header names it.
    """

    names: tuple[str, ...] = schema.COLUMNS
    header: str = ",".join(schema.COLUMNS)
    word: str = schema.INVOICE_DATE

    @property
    def extra(self) -> tuple[str, ...]:
        """Return the columns that are none of the eight."""
        return tuple(name for name in self.names if name not in schema.COLUMNS)


USUAL_LAYOUT: Final = Layout()


@dataclass(frozen=True)
class Listing:
    """What the file system has at a place: files to read, each once, and how many are passed over by name.

    Attributes:
        hidden: files with `.` or `_` in front of their name, or of a folder's.
        others: files with other suffixes, by suffix.
        second_names: links to files that are there under another name, and links that lead nowhere.
    """

    files: tuple[FileStatus, ...]
    hidden: int = 0
    others: Mapping[str, int] = field(default_factory=dict)
    second_names: int = 0

    @property
    def locations(self) -> list[str]:
        """Return where the files to read are."""
        return [file.location for file in self.files]

    @property
    def passed_over(self) -> int:
        """Count the files that are passed over by name."""
        return self.hidden + sum(self.others.values()) + self.second_names


@dataclass(frozen=True)
class Account:
    """Every file at a place: read, quarantined whole, or passed over by its name."""

    there: int
    read: int
    quarantined: int
    hidden: int
    others: Mapping[str, int]
    second_names: int

    def __str__(self) -> str:
        """Say in a sentence what became of the files."""
        suffixes = ", ".join(f"{count} {suffix}" for suffix, count in sorted(self.others.items()))
        over = [
            f"{self.hidden:,} hidden" if self.hidden else "",
            f"{sum(self.others.values()):,} with another suffix ({suffixes})" if self.others else "",
            f"{self.second_names:,} a second name of a file" if self.second_names else "",
        ]
        parts = [f"{self.read:,} read"]
        parts += [f"{self.quarantined:,} quarantined"] if self.quarantined else []
        passed = ", ".join(filter(None, over))
        parts += [f"{self.passed_over:,} passed over by name: {passed}"] if passed else []
        return f"{pluralize(self.there, 'file')}: {', '.join(parts)}"

    @property
    def passed_over(self) -> int:
        """Count the files that are passed over by name."""
        return self.hidden + sum(self.others.values()) + self.second_names


def listing(data: str) -> Listing:
    """List what is in a folder and the folders in it, in what matches a pattern, or at a single path, by name."""
    storage.check(data)
    found = [file for match in storage.expand(data) for file in _files_of(match)]
    visible = [file for file, hidden in found if not hidden]
    named = [file for file in visible if has_suffix(file.location) or file.location == data]
    once = _each_once(named)
    return Listing(
        files=tuple(sorted(once, key=attrgetter("location"))),
        hidden=len(found) - len(visible),
        others=Counter(_ending(file.location) for file in visible if file not in named),
        second_names=len(named) - len(once),
    )


def list_files(data: str) -> Listing:
    """Do as `listing`, of a place where there must be lines.

    Raises:
        InputError: there is no such path, or no CSV file in it, or one that this process cannot name.
    """
    found = listing(data)
    if found.files:
        _check_names(found.files)
        return found
    if storage.exists(data) or found.passed_over:
        there = "" if not found.passed_over else f" (but {account(found, read=0)})"
        raise InputError(
            f"data needs at least one CSV file, but found none in {locations.for_display(data)}{there}: "
            "name the folder that holds them, or make some with the entry point generate"
        )
    raise InputError(
        f"data must name a folder, a file or a pattern, but found no such path: {locations.for_display(data)} "
        "(relative paths start at the working folder)"
    )


def find_files(data: str) -> list[str]:
    """Return the locations of what `list_files` lists."""
    return list_files(data).locations


def account(found: Listing, *, read: int, quarantined: int = 0) -> Account:
    """Say what became of the files at a place."""
    return Account(
        there=len(found.files) + found.passed_over,
        read=read,
        quarantined=quarantined,
        hidden=found.hidden,
        others=found.others,
        second_names=found.second_names,
    )


def check_read(found: Listing, source_names: Sequence[str], *, quarantined: Sequence[str] = ()) -> Account:
    """Hold the files that Spark has given lines of against those that are there.

    Raises:
        RetailClustersError: one was not read; names it.
    """
    missing = [
        file
        for file in found.locations
        if file not in quarantined and source_name(file) not in set(source_names)
    ]
    if missing:
        raise RetailClustersError(
            f"each of the {pluralize(len(found.files), 'file')} must be read, but Spark gave no line of "
            f"{len(missing)}, such as {locations.for_display(missing[0])}: run again if it came or went "
            "meanwhile; else a setting of Spark or Hadoop keeps it out"
        )
    return account(found, read=len(found.files) - len(quarantined), quarantined=len(quarantined))


def has_suffix(file: str) -> bool:
    """Tell whether a file's name is that of invoice lines, in capitals or not."""
    return file.lower().endswith(SUFFIXES)


def header(how: Input = _USUAL) -> str:
    """Return the usual header: the names of the eight columns."""
    return how.separator.join(how.columns.names)


def check_data(data: str, how: Input = _USUAL) -> tuple[Listing, dict[str, Layout]]:
    """List the files and read their headers.

    Raises:
        InputError: there is no file, or one that cannot be read as invoice lines.
    """
    found = list_files(data)
    return found, check_headers(found.locations, how)


def check_headers(files: Sequence[str], how: Input = _USUAL) -> dict[str, Layout]:
    """Return the layout of each file.

    Raises:
        InputError: names the first file that has no header of invoice lines, what it lacks and what is there.
    """
    layouts = {}
    for file in files:
        layout = layout_of(file, how)
        if isinstance(layout, str):
            raise InputError(f"{locations.for_display(file)}: {layout}")
        layouts[file] = layout
    return layouts


def layout_of(file: str, how: Input = _USUAL) -> Layout | str:
    """Return a file's layout, or say why its name or its beginning keeps it from being read."""
    if not locations.is_utf8(file):
        return "the file's name is not UTF-8, and Spark opens no such file: rename it"
    try:
        with open_unpacked(file) as stream:
            begin = stream.readline(_LONGEST_HEADER).replace(b"\r", b"\n").split(b"\n", 1)[0]
    except _DAMAGE as damage:
        return _not_packed(file) or f"{DAMAGED} ({damage})"
    except InputError as unreadable:
        return str(unreadable)
    if kind := _other_kind(begin):
        return f"the file is no CSV text, but looks like {kind}"
    try:
        line = begin.decode(how.encoding).removeprefix("\ufeff")
    except UnicodeDecodeError:
        return f"the header is not {how.encoding.upper()}: name the files' encoding in input.encoding, such as latin-1"
    if not line.strip():
        return "the file is empty" if not begin else "the first line is blank: the header must stand there"
    return _layout(line, how)


def problem(spark: SparkSession, file: str, how: Input = _USUAL) -> Layout | str:
    """Return a file's layout, or say why no line of it can be trusted. Reads a packed file to its end."""
    return damage(spark, file) or layout_of(file, how)


def damage(spark: SparkSession, file: str) -> str | None:
    """Say that a file is gone, or that a packed one does not unpack to its end; None when neither is so.

    It is unpacked by what Spark reads it with: other programs forgive what that one does not.
    """
    if not storage.is_file(file):
        return GONE
    if not is_packed(file):
        return None
    if wrong := _not_packed(file):
        return wrong
    why = unpacking.problem(spark, file)
    return f"{DAMAGED} ({why}): pack it anew with gzip" if why else None


def read_lines(
    spark: SparkSession,
    files: Sequence[str],
    *,
    layout: Layout = USUAL_LAYOUT,
    how: Input = _USUAL,
    seen: Observation | None = None,
) -> DataFrame:
    """Read the lines of files of one layout as text: `line` and `source_file`, without headers and blank lines.

    Rows come in no particular order. `seen` gets the set `files`: what Spark found a header in.
    """
    return lines_of(read_text(spark, files, how=how), layout=layout, how=how, seen=seen)


def read_text(spark: SparkSession, files: Sequence[str], *, how: Input = _USUAL) -> DataFrame:
    """Read all that stands in files, as `line` and `source_file`."""
    if not files:
        return spark.createDataFrame([], TEXT)
    unpacking.check_names(spark, files)
    reader = spark.read.options(**_LITERAL, **_RECURSIVE)
    if any(map(locations.is_local, files)):
        reader = reader.options(**WITHOUT_CHECKSUMS)
    return _with_source(reader.text([locations.to_uri(file) for file in files]), how)


def lines_of(
    text: DataFrame, *, layout: Layout = USUAL_LAYOUT, how: Input = _USUAL, seen: Observation | None = None
) -> DataFrame:
    """Leave headers and blank lines out of a text."""
    line = F.col(schema.LINE)
    # The second condition alone would take longer than reading.
    is_header = line.contains(layout.word) & (
        F.translate(line, f"{_IGNORED}{how.quote}", "") == layout.header
    )
    marked = text.withColumn("_header", is_header)
    if seen is not None:
        file = F.when(F.col("_header"), F.col(schema.SOURCE_FILE))
        marked = marked.observe(seen, F.collect_set(file).alias("files"))
    return marked.where(~F.col("_header") & (F.trim(line) != "")).drop("_header")


def read_line_stream(
    spark: SparkSession,
    data: str,
    *,
    max_files_per_trigger: int,
    layout: Layout = USUAL_LAYOUT,
    how: Input = _USUAL,
) -> DataFrame:
    """Read lines as files of one layout arrive, by the rules of `listing` and `read_lines`.

    A packed file that is damaged gives the lines before the damage, and one that is gone gives none: a caller
    that must know asks `damage`.
    """
    reader, place = _stream(spark, data, max_files_per_trigger)
    reader = reader.options(ignoreCorruptFiles="true", ignoreMissingFiles="true")
    return lines_of(_with_source(reader.text(place), how), layout=layout, how=how)


def read_arriving(spark: SparkSession, data: str, *, max_files_per_trigger: int, **options: str) -> DataFrame:
    """Read which files arrive, by the rules of `listing`: `path`, `length` and `modificationTime`.

    None is opened; those of length 0 are not seen. `options` are those of Spark's reader.
    """
    reader, place = _stream(spark, data, max_files_per_trigger)
    return reader.options(**options).format("binaryFile").schema(_FILE).load(place).drop("content")


def own_name(file: str, *, source: str) -> str:
    """Return the name under which a file counts in a folder: that of what a link leads to, if it is there."""
    real, folder = locations.followed(file), locations.followed(source)
    if not locations.is_within(real, folder) or not has_suffix(real):
        return file
    inside = real.removeprefix(folder).strip("/")
    return file if _is_hidden(inside) else locations.join(source, *inside.split("/"))


def fingerprint(files: Sequence[FileStatus]) -> str:
    """Return a digest that changes whenever a file is written, moved, added or removed; reads no content."""
    facts = [
        (locations.to_uri(file.location), file.length, file.modified_ms, file.changed_ns) for file in files
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def quarantine_rows(file: str, *, reason: str, how: Input = _USUAL) -> Iterator[dict[str, str | None]]:
    """Return each line that is there, but headers and blank ones, as a quarantined line.

    One row without a line if there is none. Of a damaged file the lines before the damage are there. Bytes
    that are no text show as U+FFFD.
    """
    row = {schema.LINE: None, schema.REASON: reason, schema.SOURCE_FILE: source_name(file)}
    expected = _compact(header(how), how)
    empty = True
    for line in () if reason == GONE else read_here(file, how):
        if line.strip(" ") and _compact(line, how) != expected:
            empty = False
            yield row | {schema.LINE: line}
    if empty:
        yield row


def source_name(file: str) -> str:
    """Name a file as Spark's `_metadata.file_path` does, in text that is UTF-8 whatever the name is."""
    return locations.for_display(locations.quoted(file))


def read_here(file: str, how: Input = _USUAL) -> Iterator[str]:
    """Split a file's text at LF, CR and CRLF, as Spark does, without Spark; up to the damage in a packed file."""
    with open_unpacked(file) as stream:
        raw = _UntilDamage(stream) if is_packed(file) else stream
        with io.TextIOWrapper(io.BufferedReader(raw), how.encoding, errors="replace") as text:  # type: ignore[type-var]
            for number, line in enumerate(text):  # Python's "utf-8-sig" loses a mark that is cut
                yield line.rstrip("\n").removeprefix("" if number else "\ufeff")


@contextmanager
def open_unpacked(file: str) -> Iterator[IO[bytes]]:
    """Open a file as the stream of bytes that its lines are in."""
    with storage.open_read(file) as stream:
        unpacker = _UNPACKERS.get(_suffix(file))
        yield unpacker(stream) if unpacker else stream


def is_packed(file: str) -> bool:
    """Tell whether a file is unpacked as it is read."""
    return _suffix(file) in _UNPACKERS


def _suffix(file: str) -> str:
    _, dot, end = locations.name(file).rpartition(".")
    return f"{dot}{end}".lower()


def _ending(file: str) -> str:
    """Return all suffixes of a name, for people."""
    _, dot, end = locations.name(file).partition(".")
    return f"{dot}{end[:20]}".lower() if dot else "no suffix"


def _files_of(match: str) -> list[tuple[FileStatus, bool]]:
    """Return what is at a place, each with whether its name hides it; a link under the name that it counts."""
    status = storage.status(match)
    if status is None:
        return []
    if not status.is_folder:
        return [(status, _is_hidden(locations.name(match)))]
    found = []
    for file in storage.list_files(match, recursive=True, hidden=True):
        hidden = _is_hidden(file.location.removeprefix(match).strip("/"))
        own = file.location if hidden else own_name(file.location, source=match)
        found.append((file if own == file.location else replace(file, location=own), hidden))
    return found


def _is_hidden(inside: str) -> bool:
    return any(part.startswith(_HIDDEN) for part in inside.split("/"))


def _each_once(files: Sequence[FileStatus]) -> list[FileStatus]:
    """Keep one name of each file, the first but for links."""
    kept: dict[object, FileStatus] = {}
    for file in sorted(files, key=lambda file: (_is_link(file.location), file.location)):
        kept.setdefault(storage.identity(file.location), file)
    return list(kept.values())


def _is_link(file: str) -> bool:
    there = locations.join(locations.followed(locations.parent(file)), locations.name(file))
    return locations.followed(file) != there


def _check_names(files: Sequence[FileStatus]) -> None:
    """Refuse names that this process does not read as the file system has them."""
    if sys.getfilesystemencoding().lower() not in {"utf-8", "utf8"}:
        for file in files:
            if locations.is_local(file.location) and not file.location.isascii():
                raise InputError(
                    f"names of files are UTF-8, but the locale of this process reads them as "
                    f"{sys.getfilesystemencoding()}, such as {locations.for_display(file.location)}: set LC_ALL=C.UTF-8"
                )


def _stream(spark: SparkSession, data: str, max_files_per_trigger: int) -> tuple[DataStreamReader, str]:
    """Return a reader of files as they arrive, and the place where it looks for them."""
    unpacking.check_names(spark, [data])
    reader = spark.readStream.options(
        **_NEVER_TOO_OLD, **_RECURSIVE, maxFilesPerTrigger=max_files_per_trigger
    )
    if locations.is_local(data):
        reader = reader.options(**WITHOUT_CHECKSUMS)
    if not storage.is_file(data):
        reader = reader.option("pathGlobFilter", NAME_PATTERN)
    return reader, locations.literal(data) if storage.exists(data) else locations.to_uri(data)


def _with_source(text: DataFrame, how: Input) -> DataFrame:
    source = F.col("_metadata.file_path").alias(schema.SOURCE_FILE)
    return text.select(_decoded(F.col("value"), how.encoding).alias(schema.LINE), source)


def _decoded(value: Column, encoding: str) -> Column:
    """Read bytes as text; those that a single-byte encoding does not have become U+FFFD."""
    signs = single_bytes(encoding) if encoding != "utf-8" else None
    if signs is None:
        return value
    latin = bytes(range(256)).decode("latin-1")
    pairs = [(one, other) for one, other in zip(latin, signs, strict=True) if one != other]
    text = F.decode(value.cast("binary"), "ISO-8859-1")
    return F.translate(text, "".join(one for one, _ in pairs), "".join(other for _, other in pairs))


def _not_packed(file: str) -> str | None:
    """Say that a file is not packed as its name tells."""
    begins = _PACKED_BEGINS.get(_suffix(file), b"")
    try:
        found = storage.read_bytes(file, limit=len(begins))
    except InputError:
        return None
    if found == begins:
        return None
    kind = _suffix(file)
    return (
        f"the file is named {kind}, but is not packed so: take {kind} off its name"
        if found
        else "the file is empty"
    )


def _other_kind(begin: bytes) -> str | None:
    """Say what a first line looks like that is no CSV text."""
    for mark, kind in _OTHERS:
        if begin.startswith(mark):
            return kind
    start = begin[:200].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "HTML or XML, such as a page that was saved: export the table as CSV"
    if begin[:200].count(0) * 3 > len(begin[:200]):
        return "UTF-16 without its mark: save it as UTF-8, or convert it with iconv -f UTF-16LE -t UTF-8"
    return None


def _layout(line: str, how: Input) -> Layout | str:
    """Return the layout that a header gives, or say what it lacks and what stands there."""
    found = _names(line, how)
    if line.strip(' "').lower().startswith("sep=") and len(found) <= 2:
        return f"the file begins with {line[:20]!r}, which tells Excel the separator: take this line out"
    wanted = dict(zip(how.columns.names, schema.COLUMNS, strict=True))
    missing = [name for name in wanted if name not in found]
    if missing and len(found) < 2 and (other := next((sign for sign in ",;\t|" if sign in line), None)):
        return (
            f"the header has no {how.separator!r}: is the separator {other!r}? "
            f"Then set input.separator; found {line[:200]!r}"
        )
    extra = [name for name in found if name not in wanted]
    if missing:
        instead = f", but {', '.join(extra)[:200]!r}" if extra else ""
        return (
            f"the header has no column {', '.join(missing)}{instead}: "
            f"other names are a matter of the settings input.columns; the usual header is {header(how)}"
        )
    names = tuple(wanted.get(name) or name or f"Unnamed: {at}" for at, name in enumerate(found))
    twice = [name for name, count in Counter(name.casefold() for name in names).items() if count > 1]
    if twice:
        return f"the header has the column {twice[0]!r} twice: rename one"
    if reserved := [name for name in names if name.casefold() in _RESERVED]:
        return f"the header has a column {reserved[0]}, a name that commands give to what they add: rename it"
    return Layout(names=names, header=_compact(line, how), word=max(found, key=len))


def _names(line: str, how: Input) -> list[str]:
    quoting = {"quotechar": how.quote} if how.quote else {"quoting": csv.QUOTE_NONE}
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=how.separator, **quoting), [])]  # type: ignore[arg-type]
    except csv.Error:
        return []


def _compact(line: str, how: Input) -> str:
    return line.translate({ord(sign): None for sign in f"{_IGNORED}{how.quote}"})


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
