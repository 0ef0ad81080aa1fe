"""Fetch the public data set: one CSV file a day, checked by SHA-256."""

import hashlib
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Final
from urllib.request import urlopen

import click

from retail_clusters.errors import TransferError
from retail_clusters.infra import storage
from retail_clusters.infra.locations import for_display, join, name
from retail_clusters.infra.storage import new_folder

COMMIT: Final = "4ba5601eb9b9aed1d01ab79775e3af228216ff6f"
ARCHIVE_URL: Final = f"https://codeload.github.com/databricks/Spark-The-Definitive-Guide/tar.gz/{COMMIT}"
#: Of the unpacked files, one after the other in name order, not of the archive: an archive is packed anew
#: on demand, and its bytes change with the packer.
BY_DAY_SHA256: Final = "589eb7f92993f886706fc7e7a2c2b250725b5c25bf2346e900ce0d0b1fbebb6f"
_MEMBERS: Final = re.compile(r"[^/]+/data/retail-data/by-day/([\w-]+\.csv)")
_TIMEOUT: Final = 60.0


@dataclass(frozen=True)
class Fetched:
    """The folder that holds the data set, and how many files that is."""

    output: str
    files: int


def fetch(*, output: str, url: str = ARCHIVE_URL, sha256: str = BY_DAY_SHA256) -> Fetched:
    """Download the by-day files into a new folder, whole or not at all.

    Raises:
        InputError: the folder holds something else.
        TransferError: nothing came, or not what was to come.
    """
    there = _files_of(output)
    if there and _digest(there) == sha256:
        click.echo(f"{for_display(output)} is already complete, nothing to fetch")
        return Fetched(output, len(there))
    with new_folder(output) as folder:
        files = _download(url, output=output)
        if (found := _digest(files)) != sha256:
            raise TransferError(
                f"The files must have SHA-256 {sha256}, but the {len(files)} that came have {found}: thrown away; "
                f"{_by_hand(output)}"
            )
        for file, content in files.items():
            storage.write_bytes(join(folder, file), content)
    click.echo(f"Fetched {len(files)} daily files into {for_display(output)}, SHA-256 as expected")
    return Fetched(output, len(files))


def _files_of(output: str) -> dict[str, bytes]:
    if not storage.is_folder(output):
        return {}
    found = storage.list_files(output, suffixes=[".csv"])
    return {name(file.location): storage.read_bytes(file.location) for file in found}


def _digest(files: Mapping[str, bytes]) -> str:
    return hashlib.sha256(b"".join(files[file] for file in sorted(files))).hexdigest()


def _download(url: str, *, output: str) -> dict[str, bytes]:
    """Return the files in an archive whose names match, by name."""
    files = {}
    try:
        with urlopen(url, timeout=_TIMEOUT) as answer, tarfile.open(fileobj=answer, mode="r|gz") as tar:
            for member in tar:
                found = _MEMBERS.fullmatch(member.name)
                content = tar.extractfile(member) if found and member.isreg() else None
                if found and content:
                    files[found[1]] = content.read()
    except (OSError, HTTPException, tarfile.TarError, zlib.error, EOFError) as error:
        raise TransferError(
            f"The archive must come whole from {url}, but gave: {error or type(error).__name__}; {_by_hand(output)}"
        ) from error
    return files


def _by_hand(output: str) -> str:
    return (
        f"try again, or place the files by hand: unpack data/retail-data/by-day of that archive into "
        f"{for_display(output)}, and run the same command to check them"
    )
