"""A download that arrives whole or not at all: transfer, resumption, unpacking, checksum."""

import gzip
import hashlib
import http.client
import re
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tqdm import tqdm

from retail_clusters.errors import InputError, TransferError

_CHUNK: Final = 1 << 16
_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+)")
_AGAIN: Final = "run the same command again"


def folder_sha256(folder: Path) -> str:
    """Digest the bytes of a folder's CSV files, one after the other in name order."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.csv")):
        with path.open("rb") as source:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def download(url: str, *, part: Path, timeout: float = 30.0) -> None:
    """Bring what stands at `url` to the file `part`, going on where a broken transfer left off.

    Beside it stands `part`.origin: the address and the validator (ETag or date) of the bytes so far.
    The server is asked for the rest if its file is still that one (If-Range), and sends all of it if not.
    """
    if not url.startswith(("http://", "https://")):
        raise InputError(f"An address must start with http:// or https://, but got {url!r}; correct it")
    offset, headers = _resumption(url, part)
    try:
        with urlopen(Request(url, headers=headers), timeout=timeout) as answer:
            _receive(answer, url=url, part=part, offset=offset)
    except HTTPError as error:
        if error.code == 416 and offset:
            if error.headers["Content-Range"] == f"bytes */{offset}":
                return  # nothing is left to send: the bytes of last time were all of them
            forget(part)
            download(url, part=part, timeout=timeout)
            return
        raise TransferError(
            f"The server must have {url}, but it answered {error.code} {error.reason}; check the address"
        ) from error
    except TransferError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise TransferError(
            f"A transfer must end whole, but {url} broke off: {_reason(error)}; {_AGAIN}"
        ) from error


def unpack(archive: Path, *, members: str, into: Path) -> None:
    """Write the files of a tar.gz whose whole name matches `members` into a folder, flat.

    The pattern's first group is the name to write. Only its last part counts: no member can leave the folder.
    """
    wanted = re.compile(members)
    try:
        with gzip.open(archive) as bytes_, tarfile.open(fileobj=bytes_, mode="r|") as tar:
            for member in tqdm(tar, desc="unpack", unit=" entries", disable=None, leave=False):
                name = wanted.fullmatch(member.name)
                content = tar.extractfile(member) if name and member.isreg() else None
                if name and content:
                    with content, (into / Path(name[1]).name).open("wb") as target:
                        shutil.copyfileobj(content, target)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise TransferError(
            f"An archive must be a readable tar.gz, but what came is damaged ({error}): thrown away; {_AGAIN}"
        ) from error


def forget(part: Path) -> None:
    """Throw a partial or used download away."""
    part.unlink(missing_ok=True)
    _origin(part).unlink(missing_ok=True)


def _origin(part: Path) -> Path:
    return part.with_name(f"{part.name}.origin")


def _resumption(url: str, part: Path) -> tuple[int, dict[str, str]]:
    """Tell how many bytes are there already, and the headers that ask for the rest of them."""
    if not (part.is_file() and _origin(part).is_file()):
        return 0, {}
    known_url, _, validator = _origin(part).read_text().partition("\n")
    offset = part.stat().st_size
    if known_url != url or not validator or not offset:
        return 0, {}
    return offset, {"Range": f"bytes={offset}-", "If-Range": validator}


def _receive(answer: http.client.HTTPResponse, *, url: str, part: Path, offset: int) -> None:
    """Write an answer's body: behind the bytes that are there if it holds the rest, else in their place."""
    resumed = answer.status == 206
    total = _total(answer, part=part, offset=offset)
    with (
        part.open("ab" if resumed else "wb") as target,
        tqdm(
            total=total,
            initial=offset if resumed else 0,
            desc="download",
            unit="B",
            unit_scale=True,
            disable=None,
        ) as bar,
    ):
        if not resumed:
            _origin(part).write_text(f"{url}\n{_validator(answer)}")
        while chunk := answer.read(_CHUNK):
            bar.update(target.write(chunk))
    size = part.stat().st_size
    if total is not None and size != total:
        raise TransferError(
            f"A transfer must end whole, but {url} broke off after {size} of {total} bytes; {_AGAIN}"
        )


def _total(answer: http.client.HTTPResponse, *, part: Path, offset: int) -> int | None:
    """Read the size of the whole file off the headers, if they tell it."""
    if answer.status != 206:
        length = answer.headers["Content-Length"]
        return int(length) if length else None
    sent = answer.headers["Content-Range"]
    found = _RANGE.fullmatch(sent or "")
    if not found or int(found[1]) != offset:
        forget(part)
        raise TransferError(
            f"A resumed transfer must go on at byte {offset}, but it came with {sent}: thrown away; {_AGAIN}"
        )
    return int(found[2])


def _validator(answer: http.client.HTTPResponse) -> str:
    # Only a strong ETag may guard a range (RFC 9110, 13.1.5); a weak one starts with W/.
    etag: str = answer.headers["ETag"] or ""
    return etag if etag.startswith('"') else answer.headers["Last-Modified"] or ""


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", "") or error) or type(error).__name__
