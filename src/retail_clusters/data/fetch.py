"""Fetch the public data set: one CSV file a day, checked by its SHA-256."""

from pathlib import Path
from typing import Final

import click

from retail_clusters.data.download import download, folder_sha256, forget, unpack
from retail_clusters.errors import TransferError
from retail_clusters.infra.folders import whole_folder

COMMIT: Final = "4ba5601eb9b9aed1d01ab79775e3af228216ff6f"
ARCHIVE_URL: Final = f"https://codeload.github.com/databricks/Spark-The-Definitive-Guide/tar.gz/{COMMIT}"
#: Of the unpacked files, one after the other in name order, not of the archive: an archive is packed anew
#: on demand, and its bytes change with the packer.
BY_DAY_SHA256: Final = "589eb7f92993f886706fc7e7a2c2b250725b5c25bf2346e900ce0d0b1fbebb6f"
_MEMBERS: Final = r"[^/]+/data/retail-data/by-day/([\w-]+\.csv)"


def fetch(*, output: Path, url: str = ARCHIVE_URL, sha256: str = BY_DAY_SHA256) -> None:
    """Download, unpack and check the by-day files, whole or not at all; a broken transfer is resumed."""
    if output.is_dir() and folder_sha256(output) == sha256:
        click.echo(f"{output} is already complete, nothing to fetch")
        return
    with whole_folder(output) as folder:
        part = output.resolve().with_name(f"{output.resolve().name}.tar.gz.part")
        download(url, part=part)
        try:
            unpack(part, members=_MEMBERS, into=folder)
            _check(folder, sha256=sha256)
        except TransferError:
            forget(part)
            raise
    forget(part)
    click.echo(f"Fetched {len(list(output.glob('*.csv')))} daily files into {output}, SHA-256 as expected")


def _check(folder: Path, *, sha256: str) -> None:
    count, found = len(list(folder.glob("*.csv"))), folder_sha256(folder)
    if found != sha256:
        raise TransferError(
            f"The files must have SHA-256 {sha256}, but the {count} that came have {found}: thrown away; "
            "run the same command again"
        )
