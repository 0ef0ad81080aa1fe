"""Java's streams of bytes as Python's."""

import errno
import io
from collections.abc import Callable
from typing import Any, BinaryIO, Final, cast

from py4j.protocol import Py4JJavaError

from retail_clusters.infra._java_errors import named
from retail_clusters.infra.locations import for_display

_PIECE: Final = 1 << 20


def read_stream(stream: Any) -> BinaryIO:
    """Return a Java input stream as one of Python's."""
    return cast(BinaryIO, io.BufferedReader(_JavaInput(stream), _PIECE))


def write_stream(stream: Any) -> BinaryIO:
    """Return a Java output stream as one of Python's."""
    return cast(BinaryIO, io.BufferedWriter(_JavaOutput(stream), _PIECE))


class _JavaInput(io.RawIOBase):
    """A Java input stream, read in pieces."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self.tell()
        elif whence == io.SEEK_END:
            offset += self.tell() + self._stream.available()
        self._stream.seek(offset)
        return offset

    def tell(self) -> int:
        return int(self._stream.getPos())

    def readinto(self, buffer: Any) -> int:
        piece: bytes = _as_io(self._stream.readNBytes, len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def readall(self) -> bytes:
        """Read to the end in large pieces: each costs a round trip, and Python's own are of 8 KB."""
        return b"".join(iter(lambda: bytes(_as_io(self._stream.readNBytes, _PIECE)), b""))

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


class _JavaOutput(io.RawIOBase):
    """A Java output stream, written in pieces; what is closed is on the store."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        content = bytes(piece)
        _as_io(self._stream.write, content)
        return len(content)

    def close(self) -> None:
        if not self.closed:
            if self._stream.hasCapability("hsync"):
                _as_io(self._stream.hsync)
            _as_io(self._stream.close)
        super().close()


def _as_io(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call the JVM in the middle of a stream, where Python's readers and writers expect an OSError."""
    try:
        return call(*arguments)
    except Py4JJavaError as failed:
        raise OSError(errno.EIO, for_display(named(failed)[1])) from failed
