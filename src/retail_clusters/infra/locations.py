"""Locations as text: a path, or a URI of any file system that Spark knows.

A location has a scheme if it starts as `scheme:/` does. Without one it is a local path, relative to the
working directory, whatever Hadoop's default file system. Names stand in a location as they are, as in
Hadoop's own `Path`: nothing is quoted but where a function says so.
"""

import os
import re
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import quote

from retail_clusters.infra.secrets import masked

LOCAL: Final = "file"

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/")
_ROOT: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/(/[^/]*)?")
_PATTERN: Final = frozenset("[]{}*?\\")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
#: What Java quotes in the path of a URI.
_QUOTED: Final = frozenset(' %"<>[]{}|\\^`#?\x7f')


def scheme(location: str) -> str:
    """Return the scheme in small letters; `file` for a location without one."""
    found = _SCHEME.match(location)
    return found[1].lower() if found else LOCAL


def is_local(location: str) -> bool:
    """Tell whether a location is on this machine's own disks."""
    return scheme(location) == LOCAL


def local_path(location: str) -> str:
    """Return the path of a local location, as the operating system takes it."""
    if not _SCHEME.match(location):
        return location or "."
    rest = location.partition(":")[2]
    if not rest.startswith("//"):
        return rest
    authority, _, path = rest[2:].partition("/")
    return f"/{path}" if authority in {"", "localhost"} else rest


def join(location: str, *names: str) -> str:
    """Return the location of a name, or of a chain of names, in a folder."""
    joined = location
    for part in names:
        joined = f"{joined}{part}" if joined.endswith("/") else f"{joined}/{part}" if joined else part
    return joined if _SCHEME.match(location) or not _SCHEME.match(joined) else f"./{joined}"


def name(location: str) -> str:
    """Return the last name of a location; empty for a root."""
    root, path = _split(location)
    return path.rstrip("/").rpartition("/")[2] if path or root else ""


def parent(location: str) -> str:
    """Return the folder that a location is in; a root is in itself."""
    root, path = _split(location)
    above, slash, _ = path.rstrip("/").rpartition("/")
    if not above.rstrip("/"):
        return root or ("/" if slash else ".")
    return f"{root}{above.rstrip('/')}"


def to_uri(location: str) -> str:
    """Return the absolute location with its scheme, which Spark's readers and writers take as it is.

    Links stay, but where `..` follows one: Hadoop would drop both names.
    """
    if not is_local(location):
        return location
    path = local_path(location)
    absolute = os.path.realpath(path) if ".." in PurePosixPath(path).parts else str(_absolute(path))
    return f"{LOCAL}://{absolute}"


def literal(location: str) -> str:
    """Return `to_uri` with everything escaped that Spark's readers would expand as a pattern."""
    return "".join(f"\\{sign}" if sign in _PATTERN else sign for sign in to_uri(location))


def quoted(location: str) -> str:
    """Return a file's URI as Spark's column `_metadata.file_path` and its stream logs name it."""
    uri = to_uri(location)
    if is_local(uri):
        uri = f"{LOCAL}:{local_path(uri)}"
    return "".join(quote(sign) if sign in _QUOTED or sign < " " else sign for sign in uri)


def is_within(location: str, folder: str) -> bool:
    """Tell whether a location is a folder or anywhere inside it; links on this machine are followed."""
    inner, outer = followed(location), followed(folder)
    return inner == outer or inner.startswith(outer if outer.endswith("/") else f"{outer}/")


def followed(location: str) -> str:
    """Return `to_uri` with all links on this machine followed."""
    if is_local(location):
        return f"{LOCAL}://{os.path.realpath(local_path(location))}"
    root, path = _split(location)
    return f"{root}{'/'.join(part for part in path.split('/') if part not in {'', '.'})}"


def is_utf8(location: str) -> bool:
    """Tell whether a name is text: Java, and so Spark, opens no file whose name is not UTF-8."""
    return not _SURROGATE.search(location)


def for_display(text: str) -> str:
    """Return a location or a message for people: one line, UTF-8, without the password of a URI."""
    visible = masked(text).encode("utf-8", "backslashreplace").decode()
    return " ".join(visible.splitlines())


def _split(location: str) -> tuple[str, str]:
    """Split a location into its root (`scheme://authority/`, or nothing) and the path that follows."""
    if not _SCHEME.match(location):
        return "", location
    found = _ROOT.match(location)
    root = found[0] if found else ""
    return f"{root.rstrip('/')}/" if root[-1:] != ":" else root, location[len(root) :].lstrip("/")


def _absolute(path: str) -> PurePosixPath:
    return PurePosixPath(os.getcwd(), path)  # noqa: PTH109 - text, not a file
