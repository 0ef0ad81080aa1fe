"""Which modules of the project could open a path by themselves: `python -m tests.openers` lists them."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parents[1] / "src" / "retail_clusters"

#: Modules that open, make or look for files.
_MODULES: Final = frozenset(
    {
        *(
            "pathlib",
            "shutil",
            "tempfile",
            "glob",
            "fileinput",
            "mmap",
            "tarfile",
            "zipfile",
            "dbm",
            "shelve",
        ),
        *("fsspec", "pyarrow.fs", "pyarrow.csv", "pyarrow.dataset", "pyarrow.parquet", "pyarrow.feather"),
    }
)
#: What `os` offers that touches no file.
_HARMLESS: Final = frozenset(
    {
        "PathLike",
        "cpu_count",
        "environ",
        "fsdecode",
        "fsencode",
        "fspath",
        "getcwd",
        "getpid",
        "kill",
        "linesep",
    }
    | {"path.normpath", "path.isabs", "sep", "strerror", "urandom"}
)
#: Methods that open a path which they are given.
_METHODS: Final = frozenset(
    {"memmap", "read_csv", "read_json", "read_parquet", "savefig", "tofile", "to_parquet", "write_html"}
    | {"fromfile", "loadtxt", "savetxt", "savez", "write_image", "write_json"}
)


def openers(package: Path = PACKAGE) -> dict[str, set[str]]:
    """Return, of each module that could open a path, by what."""
    found = {
        ".".join(file.relative_to(package).with_suffix("").parts): set(_means(ast.parse(file.read_text())))
        for file in sorted(package.rglob("*.py"))
    }
    return {module: means for module, means in found.items() if means}


def _means(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in _MODULES)
            yield from (f"{alias.name} as {alias.asname}" for alias in node.names if _is_os_renamed(alias))
        elif isinstance(node, ast.ImportFrom):
            yield from _imported(node)
        elif isinstance(node, ast.Attribute):
            yield from _attribute(node)
        elif isinstance(node, ast.Name) and node.id == "open":
            yield "open"


def _imported(node: ast.ImportFrom) -> Iterator[str]:
    module = node.module or ""
    if module in _MODULES or module.partition(".")[0] in {"os", "io"}:
        yield module
    yield from (whole for alias in node.names if (whole := f"{module}.{alias.name}") in _MODULES)


def _is_os_renamed(alias: ast.alias) -> bool:
    return alias.name in {"os", "io"} and alias.asname is not None


def _attribute(node: ast.Attribute) -> Iterator[str]:
    """Tell of `os.…` but for what is harmless, `io.open`, and methods that take a path."""
    name = ast.unparse(node)
    if name in {"io.open", "io.FileIO"} or node.attr in _METHODS:
        yield name if name.startswith("io.") else f".{node.attr}"
    elif name.startswith("os.path.") and name.count(".") == 2 and name.removeprefix("os.") not in _HARMLESS:
        yield name
    elif name.startswith("os.") and name.count(".") == 1 and node.attr != "path":
        yield from () if node.attr in _HARMLESS or node.attr.isupper() else (name,)


if __name__ == "__main__":
    for module, means in openers().items():
        print(f"{module}: {', '.join(sorted(means))}")
