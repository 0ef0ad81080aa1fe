"""The first version of the project, 565f958, beside this one: a worktree of it with its own lock."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.common import PROJECT

COMMIT: Final = "565f958"
FOLDER: Final = PROJECT / ".baseline" / COMMIT


def checkout() -> Path:
    """Make the worktree and its environment, once."""
    if not FOLDER.is_dir():
        subprocess.run(
            ["git", "worktree", "add", "--detach", "--force", FOLDER, COMMIT],
            cwd=PROJECT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    subprocess.run(["make", ".venv/tools"], cwd=FOLDER, check=True, stdout=subprocess.DEVNULL)
    return FOLDER


def python(*arguments: str | Path, folder: Path, project: Path = PROJECT) -> str:
    """Run a project's Python in a working folder, and return what it prints."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment = inherited | {
        "PYTHONPATH": str(project / "src"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
    }
    command: Sequence[str | Path] = [project / ".venv" / "bin" / "python", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout
