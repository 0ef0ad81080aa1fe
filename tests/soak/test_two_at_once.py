"""Two commands at once on one project: both end as if one had waited, or one says in one line why not."""

import json
import shutil
import subprocess
from itertools import combinations_with_replacement
from pathlib import Path

import pytest

from tests import processes
from tests.conftest import PROJECT, SAMPLE

pytestmark = pytest.mark.soak

LOOSE = ["--set", "guardrails.max_cluster_share=1; promotion.max_cluster_share=1; promotion.margin=2"]
COMMANDS = {
    "prepare": ["prepare", "--set", "split.train_until=2011-06-01"],
    "sweep": ["sweep", "--study", "shared", "--trials", "16", "--k-max", "20", *LOOSE],
    "promote": ["promote", *LOOSE],
    "rollback": ["rollback"],
    "score": ["score", "--source", SAMPLE, "--output", "output/scored", "--checkpoint", "output/checkpoint"],
    "purchases": ["purchases", "--output", "output/spend"],
}


def environment(place: Path) -> dict[str, str]:
    return {"MLFLOW_TRACKING_URI": f"sqlite:///{place / 'mlflow.db'}", "SPARK_MASTER": "local[1]"}


def run(place: Path, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*processes.COMMAND, *map(str, words)],
        cwd=place,
        env=processes.environment(**environment(place)),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two champions, one after the other, and a third version."""
    place = tmp_path_factory.mktemp("project")
    shutil.copytree(PROJECT / "experiments", place / "experiments")
    (place / "data").mkdir()
    (place / "data" / "sample").symlink_to(PROJECT / "data" / "sample")
    for k in ("30", "31", "32"):
        done = run(place, "train", "--k", k)
        assert done.returncode == 0, done.stderr
        if k != "32":
            done = run(place, "promote", *LOOSE)
            assert done.returncode == 0, done.stderr
    return place


@pytest.mark.parametrize(("one", "other"), [*combinations_with_replacement(COMMANDS, 2)])
def test_two_commands_at_once_end_well_or_say_in_one_line_why_not(project, tmp_path, one, other):
    place = tmp_path / "copy"
    shutil.copytree(project, place, symlinks=True)
    started = [
        subprocess.Popen(
            [*processes.COMMAND, *map(str, COMMANDS[name])],
            cwd=place,
            env=processes.environment(**environment(place)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in (one, other)
    ]
    ended = [(process, *process.communicate(timeout=600)) for process in started]
    for process, _, told in ended:
        errors = [line for line in told.splitlines() if line.startswith("error: ")]
        assert len(errors) == (process.returncode != 0), told
        assert "Traceback" not in told
        assert "Exception" not in told
    assert 0 in [process.returncode for process, _, _ in ended], [told for _, _, told in ended]
    history = run(place, "history", "--json")
    assert history.returncode == 0, history.stderr
    assert "set by other means" not in history.stderr
    assert [move["number"] for move in json.loads(history.stdout)] == sorted(
        move["number"] for move in json.loads(history.stdout)
    )
