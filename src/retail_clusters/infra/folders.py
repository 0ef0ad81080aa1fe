"""Folders that are whole or not there at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from retail_clusters.errors import InputError


@contextmanager
def whole_folder(output: Path) -> Iterator[Path]:
    """Lend a temporary folder beside `output`, and rename it to `output` if the block ends well."""
    output = output.resolve()
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise InputError(
            f"An output folder must be new or empty, but {output} is not; remove it or choose another"
        )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        temporary = TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent)
    except OSError as error:
        raise InputError(
            f"An output folder must be writable, but {output.parent} gave: {error}; choose another"
        ) from error
    with temporary as beside:
        folder = Path(beside) / output.name
        folder.mkdir()
        yield folder
        folder.rename(output)
