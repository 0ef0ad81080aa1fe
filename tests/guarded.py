"""Folders that only storage opens: whoever else of the project touches a path below them is stopped.

    with guarded(folder) as found:
        …
    assert found == []

`python -m tests.guarded FOLDER COMMAND …` runs a command of the project and lets not even storage touch the
folder, which is for places that Spark reaches under another scheme. What Python itself opens is seen, not
what C++ opens inside of pyarrow (`tests.openers` looks at who could ask for that).
"""

import os
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

PACKAGE: Final = Path(__file__).parents[1] / "src" / "retail_clusters"
#: What may: storage, what it is made of, and locks, which the system keeps on open files.
STORAGE: Final = frozenset(
    f"{PACKAGE}/infra/{name}.py" for name in ("storage", "_stores", "_local_files", "locations", "locks")
)

_EVENTS: Final = frozenset(
    {
        *("open", "glob.glob", "pathlib.Path.glob", "pathlib.Path.rglob"),
        *(f"tempfile.{name}" for name in ("mkdtemp", "mkstemp")),
        *(f"os.{name}" for name in ("listdir", "scandir", "walk", "mkdir", "rmdir", "remove", "rename")),
        *(f"os.{name}" for name in ("link", "symlink", "truncate", "utime", "chmod", "chown", "chdir")),
        *(f"shutil.{name}" for name in ("copyfile", "copymode", "copystat", "copytree", "move", "rmtree")),
    }
)
#: Goes through a tree whose root was checked, by names that are relative to its folders.
_IN_A_TREE: Final = "_rmtree_safe_fd"
#: What looks at a path without an event.
_LOOKS: Final = ("stat", "lstat", "access", "readlink")


class OpenedError(BaseException):
    """A path was opened by who must not; no `except Exception` takes it for a failure of the store."""


class _Guard:
    def __init__(self, folders: tuple[str, ...], allowed: frozenset[str]) -> None:
        self.folders, self.allowed = folders, allowed
        self.found: list[str] = []

    def check(self, what: str, *paths: Any) -> None:
        """Refuse paths below the folders, unless who asks may, or is no module of the project."""
        frame = sys._getframe(2)
        if frame.f_code.co_name == _IN_A_TREE:
            return
        below = [path for path in paths if self._is_below(path)]
        module = _asking(frame) if below else None
        if module and module not in self.allowed:
            self.found.append(f"{Path(module).relative_to(PACKAGE)}: {what} {below[0]!r}")
            raise OpenedError(self.found[-1])

    def _is_below(self, path: Any) -> bool:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return False
        text = os.fsdecode(path)
        absolute = os.path.abspath(text)  # noqa: PTH100 - links stay, as in what was asked for
        return "viewfs:/" in text or any(
            absolute == folder or absolute.startswith(f"{folder}/") for folder in self.folders
        )


_active: list[_Guard] = []


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if _active and event in _EVENTS:
        for guard in tuple(_active):
            guard.check(event, *arguments[:2])


def _asking(frame: FrameType | None) -> str | None:
    """Return the file of the innermost module of the project on the stack."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(f"{PACKAGE}/"):
            return frame.f_code.co_filename
        frame = frame.f_back
    return None


def _looking(name: str, look: Callable[..., Any]) -> Callable[..., Any]:
    def guarded_look(path: Any, *arguments: Any, **options: Any) -> Any:
        for guard in tuple(_active):
            guard.check(f"os.{name}", path)
        return look(path, *arguments, **options)

    return guarded_look


@contextmanager
def guarded(*folders: Path, allowed: frozenset[str] = STORAGE) -> Iterator[list[str]]:
    """Let the project open nothing below some folders but through `allowed`; lend what was stopped."""
    guard = _Guard(tuple(map(str, folders)), allowed)
    before = {name: getattr(os, name) for name in _LOOKS}
    if not _hooked:
        sys.addaudithook(_on_event)  # for good: Python takes none back
        _hooked.append(True)
    for name, look in before.items():
        setattr(os, name, _looking(name, look))
    _active.append(guard)
    try:
        yield guard.found
    finally:
        _active.remove(guard)
        for name, look in before.items():
            setattr(os, name, look)


_hooked: list[bool] = []


if __name__ == "__main__":
    del sys.argv[0]
    with guarded(Path(sys.argv[0]), allowed=frozenset()) as stopped:
        try:
            runpy.run_module("retail_clusters", run_name="__main__", alter_sys=True)
        finally:
            if stopped:
                sys.exit(f"opened by who must not: {stopped}")
