"""The lock, the ranges and the environments must say the same."""

import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[1]


def pins(name: str) -> dict[str, str]:
    """The pins that count on this Python: a universal lock has some for others, too."""
    lines = (PROJECT / name).read_text(encoding="utf-8").splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.lstrip().startswith("#")]
    return {
        canonicalize_name(each.name): str(each.specifier).removeprefix("==")
        for each in pinned
        if each.marker is None or each.marker.evaluate()
    }


def ranges() -> dict[str, list[str]]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    return {
        "requirements.txt": project["project"]["dependencies"],
        "requirements-dev.txt": project["dependency-groups"]["dev"],
    }


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_every_range_of_pyproject_holds_the_pinned_version(lock):
    pinned = pins(lock)
    for text in ranges()[lock]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), text


def test_every_line_of_the_lock_is_an_exact_pin():
    for name in ranges():
        lines = (PROJECT / name).read_text(encoding="utf-8").splitlines()
        loose = [line for line in lines if line and not line.lstrip().startswith("#") and "==" not in line]
        assert loose == []


@pytest.mark.soak  # it asks a package index
def test_lock_is_what_the_tool_makes_of_pyproject(tmp_path):
    made = tmp_path / "requirements.txt"  # pins that are there already are kept where the ranges allow
    shutil.copy(PROJECT / "requirements.txt", made)
    options = ["--universal", "--python-version", "3.11", "--no-header", "--quiet"]
    done = subprocess.run(
        [Path(sys.executable).with_name("uv"), "pip", "compile", "pyproject.toml", "-o", made, *options],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no package index to compare with: {done.stderr.strip()[:200]}")
    assert made.read_text(encoding="utf-8") == (PROJECT / "requirements.txt").read_text(encoding="utf-8")


def test_environment_installed_is_the_locked_one():
    different = {
        name: (pinned, version(name))
        for name, pinned in pins("requirements.txt").items()
        if name in {"pyspark", "mlflow", "optuna", "pandas", "numpy", "pydantic"} and version(name) != pinned
    }
    assert different == {}


def test_what_only_tests_need_stays_out_of_the_runtime_set():
    assert not {"pytest", "hypothesis", "ruff", "mypy"} & pins("requirements.txt").keys()


def test_conda_environment_installs_from_the_lock():
    conda = yaml.safe_load((PROJECT / "conda.yaml").read_text(encoding="utf-8"))
    assert {"pip": ["-r requirements.txt"]} in conda["dependencies"]
