"""Files of invoice lines: which count, what keeps one from being read, and the text of their lines.

A file is a location: a path, or a URI of any file system that Spark knows. docs/lines.md has the rules.
"""

import bz2
import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.readwriter import DataStreamReader
from pyspark.sql.types import StringType, StructField, StructType

from retail_clusters import schema
from retail_clusters.data import listing
from retail_clusters.data.listing import Listing
from retail_clusters.errors import InputError
from retail_clusters.infra import locations, storage
from retail_clusters.infra.spark import WITHOUT_CHECKSUMS
from retail_clusters.input_settings import Input, single_bytes

#: `listing.SUFFIXES` as a pattern of Spark's option `pathGlobFilter`; hidden names Spark skips by itself.
NAME_PATTERN: Final = "*.{[cC][sS][vV],[cC][sS][vV].[gG][zZ],[cC][sS][vV].[bB][zZ]2}"
#: What `read_text` gives.
TEXT: Final = StructType([StructField(name, StringType()) for name in (schema.LINE, schema.SOURCE_FILE)])

GONE: Final = "the file was gone before it could be read"
DAMAGED: Final = "the file cannot be unpacked to its end"

_USUAL: Final = Input()
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
_PIECE: Final = 1 << 16
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


def header(how: Input = _USUAL) -> str:
    """Return the usual header: the names of the eight columns."""
    return how.separator.join(how.columns.names)


def check_data(data: str, how: Input = _USUAL) -> tuple[Listing, dict[str, Layout]]:
    """List the files of a data set and read their headers.

    Raises:
        InputError: there is no file, or one that cannot be read as invoice lines.
    """
    found = listing.require(data)
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
            begin = stream.readline(_LONGEST_HEADER)
    except _DAMAGE as damage:
        return _not_packed(file) or f"{DAMAGED} ({damage})"
    except InputError as unreadable:
        return str(unreadable)
    if not begin:
        return "the file is empty"
    kind = _other_kind(begin)
    begin = begin.replace(b"\r", b"\n").split(b"\n", 1)[0]
    return f"the file is no CSV text, but looks like {kind}" if kind else _layout(begin, how)


def examine(
    spark: SparkSession, files: Sequence[str], how: Input = _USUAL
) -> tuple[dict[str, Layout], dict[str, str]]:
    """Return the layouts of files, and why no line of the others can be trusted. Unpacks packed files."""
    layouts, broken = {}, {}
    for file in files:
        found = damage(spark, file) or layout_of(file, how)
        if isinstance(found, str):
            broken[file] = found
        else:
            layouts[file] = found
    return layouts, broken


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
    why = _unpacking_problem(spark, file)
    return f"{DAMAGED} ({why}): pack it anew with gzip" if why else None


@contextmanager
def naming_damage(spark: SparkSession, files: Sequence[str]) -> Iterator[None]:
    """Turn a failure that comes of a damaged file into one that names the file.

    Raises:
        InputError: a file is gone, or a packed one does not unpack to its end.
    """
    try:
        yield
    except (PySparkException, Py4JJavaError) as failure:
        for file in files:
            if problem := damage(spark, file):
                raise InputError(
                    f"data must be readable to its end, but {locations.for_display(file)}: {problem}; "
                    "bring the file anew, or take it out"
                ) from failure
        raise


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
    """Read lines as files of one layout arrive, by the rules of `listing.find` and `read_lines`.

    A packed file that is damaged gives the lines before the damage, and one that is gone gives none: a caller
    that must know asks `damage`.
    """
    reader, place = _stream(spark, data, max_files_per_trigger)
    reader = reader.options(ignoreCorruptFiles="true", ignoreMissingFiles="true")
    return lines_of(_with_source(reader.text(place), how), layout=layout, how=how)


def read_arriving(spark: SparkSession, data: str, *, max_files_per_trigger: int) -> DataFrame:
    """Read which files arrive, by the rules of `listing.find`: `path`, `length` and `modificationTime`.

    None is opened; those of length 0 are not seen, nor those that come late and are 30 days older than the newest.
    """
    reader, place = _stream(spark, data, max_files_per_trigger)
    reader = reader.options(ignoreMissingFiles="true", maxFileAge="30d")
    return reader.format("binaryFile").schema(_FILE).load(place).drop("content")


def quarantine_rows(file: str, *, reason: str, how: Input = _USUAL) -> Iterator[dict[str, str | None]]:
    """Return each line that is there, but headers and blank ones, as a quarantined line.

    One row without a line if there is none. Of a damaged file the lines before the damage are there. Bytes
    that are no text show as U+FFFD.
    """
    row = {schema.LINE: None, schema.REASON: reason, schema.SOURCE_FILE: listing.source_name(file)}
    expected = _compact(header(how), how)
    empty = True
    for line in () if reason == GONE else read_here(file, how):
        if line.strip(" ") and _compact(line, how) != expected:
            empty = False
            yield row | {schema.LINE: line}
    if empty:
        yield row


def read_here(file: str, how: Input = _USUAL) -> Iterator[str]:
    """Split a file's text at LF, CR and CRLF, as Spark does, without Spark; up to the damage in a packed file."""
    with open_unpacked(file) as stream, io.TextIOWrapper(stream, how.encoding, errors="replace") as text:
        try:
            for number, line in enumerate(text):  # Python's "utf-8-sig" loses a mark that is cut
                yield line.rstrip("\n").removeprefix("" if number else "\ufeff")
        except _DAMAGE:
            if not is_packed(file):
                raise


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


def _unpacking_problem(spark: SparkSession, file: str) -> str | None:
    """Unpack a file to its end with the codec that Spark reads it with; return Java's words if that fails."""
    jvm: Any = spark._jvm
    conf = jvm.org.apache.hadoop.conf.Configuration(spark._jsc.hadoopConfiguration())
    for key, value in WITHOUT_CHECKSUMS.items() if locations.is_local(file) else ():
        conf.set(key, value)
    path = jvm.org.apache.hadoop.fs.Path(locations.to_uri(file))
    nowhere = jvm.java.io.OutputStream.nullOutputStream()
    try:
        codec = jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(conf).getCodec(path)
        stream = codec.createInputStream(path.getFileSystem(conf).open(path))
        jvm.org.apache.hadoop.io.IOUtils.copyBytes(stream, nowhere, _PIECE, True)
    except Py4JJavaError as failure:
        return f"{failure.java_exception.getMessage() or failure.java_exception.getClass().getSimpleName()}"
    return None


def _with_source(text: DataFrame, how: Input) -> DataFrame:
    source = F.col("_metadata.file_path").alias(schema.SOURCE_FILE)
    return text.select(decoded(F.col("value"), how.encoding).alias(schema.LINE), source)


def decoded(value: Column, encoding: str) -> Column:
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
        with storage.open_read(file) as stream:
            found = stream.read(len(begins))
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


def _layout(begin: bytes, how: Input) -> Layout | str:
    """Return the layout that a header gives, or say what it lacks and what stands there."""
    try:
        line = begin.decode(how.encoding).removeprefix("\ufeff")
    except UnicodeDecodeError:
        return f"the header is not {how.encoding.upper()}: name the files' encoding in input.encoding, such as latin-1"
    if not line.strip():
        return "the first line is blank: the header must stand there"
    found = _names(line, how)
    return _missing(line, found, how) or _clash(found, how) or _layout_of(line, found, how)


def _layout_of(line: str, found: Sequence[str], how: Input) -> Layout:
    return Layout(_columns(found, how), header=_compact(line, how), word=max(found, key=len))


def _columns(found: Sequence[str], how: Input) -> tuple[str, ...]:
    """Name a header's columns; one without a name, as pandas writes its index, as pandas reads it."""
    wanted = dict(zip(how.columns.names, schema.COLUMNS, strict=True))
    return tuple(wanted.get(name) or name or f"Unnamed: {at}" for at, name in enumerate(found))


def _missing(line: str, found: Sequence[str], how: Input) -> str | None:
    if line.strip(' "').lower().startswith("sep=") and len(found) <= 2:
        return f"the file begins with {line[:20]!r}, which tells Excel the separator: take this line out"
    missing = [name for name in how.columns.names if name not in found]
    if not missing:
        return None
    if len(found) < 2 and (other := next((sign for sign in ",;\t|" if sign in line), None)):
        return (
            f"the header has no {how.separator!r}: is the separator {other!r}? "
            f"Then set input.separator; found {line[:200]!r}"
        )
    extra = [name for name in found if name not in how.columns.names]
    instead = f", but found {', '.join(extra)[:200]!r}" if extra else ""
    return (
        f"the header has no column {', '.join(missing)}{instead}: "
        f"other names are a matter of the settings input.columns; the usual header is {header(how)}"
    )


def _clash(found: Sequence[str], how: Input) -> str | None:
    """Say which name of a header Spark could not tell from another."""
    names = Counter(name.casefold() for name in _columns(found, how))
    if twice := [name for name, count in names.items() if count > 1]:
        return f"the header has the column {twice[0]!r} twice: rename one"
    if reserved := [name for name in names if name in _RESERVED]:
        return f"the header has a column {reserved[0]}, a name that commands give to what they add: rename it"
    return None


def _names(line: str, how: Input) -> list[str]:
    quoting = {"quotechar": how.quote} if how.quote else {"quoting": csv.QUOTE_NONE}
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=how.separator, **quoting), [])]
    except csv.Error:
        return []


def _compact(line: str, how: Input) -> str:
    return line.translate({ord(sign): None for sign in f"{_IGNORED}{how.quote}"})
