"""Everything at locations that are no paths, on a store that is Hadoop's default: as on this machine's disks."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import jobs, processes, scorers
from tests.conftest import SAMPLE
from tests.purchases.shop import totals, written
from tests.viewfs import STORE, Shop, mounted

pytestmark = pytest.mark.soak

DATA = f"{STORE}/data/by-day"


@dataclass(frozen=True)
class Project:
    """The store, with the sample in it, and a folder where the main job has run on this machine's disks."""

    shop: Shop
    here: Path

    def environment(self, place: Path) -> dict[str, str]:
        """Return what a command in `place` needs to work on the store."""
        cache = {"RETAIL_CLUSTERS_PREPARED": f"{STORE}/data/prepared"}
        return jobs.environment(place, SPARK_MASTER="local[2]", **self.shop.environment, **cache)

    def run(self, place: Path, *words: str) -> str:
        """Run a command on the store, to its good end."""
        return ended_well([*processes.COMMAND, *words], place, self.environment(place))


def ended_well(words: list[str], place: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [*place.glob("*:*")] == []
    return done.stdout


def run_here(place: Path, *words: str) -> str:
    return ended_well([*processes.COMMAND, *words], place, jobs.environment(place, SPARK_MASTER="local[2]"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("viewfs")
    shop = mounted(folder)
    shutil.copytree(SAMPLE, shop.path(DATA))
    here = jobs.checkout(folder / "here")
    run_here(here, *jobs.words("--data", str(shop.path(DATA))))
    return Project(shop, here)


def test_a_main_job_gives_there_what_it_gives_here_to_the_bit(project: Project, tmp_path: Path):
    there, output = jobs.checkout(tmp_path / "there"), f"{STORE}/data/main"
    expected = jobs.outcome(project.here)

    project.run(there, *jobs.words("--data", DATA, "--output", output))

    (scored,) = project.shop.path(output).iterdir()
    assert jobs.outcome(there, scored=scored) == expected
    assert not (there / "output").exists()
    assert not (there / "data" / "prepared").exists()
    assert [file for file in (project.shop.on_disk / "tmp").rglob("*") if file.is_file()] == []

    project.run(there, "verify", "--version", "1")
    project.run(there, "promote", "--version", "1", "--dry-run", "true")
    page = f"{STORE}/data/report.html"
    project.run(there, "report", "--version", "1", "--output", page)
    assert project.shop.path(page).read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")


@pytest.mark.parametrize("mode", ["batch", "stream"])
def test_purchases_give_there_what_they_give_here(project: Project, tmp_path: Path, mode: str):
    place, output = jobs.checkout(tmp_path / "place"), f"{STORE}/data/{mode}"
    words = ("purchases", "--mode", mode, "--set", "purchases.max_files_per_trigger=7")
    run_here(place, *words, "--output", "here")

    told = project.run(place, *words, "--data", DATA, "--output", output)

    here, there = place / "here", project.shop.path(output)
    assert len(written(str(there))) > 500
    assert written(str(there)) == written(str(here))
    assert totals(str(there)) == totals(str(here))
    if mode == "stream":
        assert "0 of" in told
        assert "customer-days differ from the batch" in told
    assert {file.name for file in there.iterdir() if file.suffix != ".crc"} <= {
        *(file.name for file in here.iterdir() if file.suffix != ".crc")
    }


def test_a_scorer_killed_while_it_writes_and_between_batches_scores_every_line_once(project: Project):
    output = f"{STORE}/data/scored"
    place = project.shop.path(output)
    words = ("score", "--source", DATA, "--output", output, "--max-files-per-trigger", "5")

    def start() -> "subprocess.Popen[str]":
        return processes.started(
            [*processes.COMMAND, *words], cwd=project.here, environment=project.environment(project.here)
        )

    def recorded(batch_id: int) -> bool:
        return (place / "commits" / f"{batch_id}.json").exists()

    processes.kill_when(
        start(), lambda: recorded(1) and any(place.glob(".attempts/*/scored/**/*.parquet")), within=600
    )
    processes.kill_when(start(), lambda: recorded(4), within=600)
    assert not recorded(11)

    project.run(project.here, *words)

    files = sorted(SAMPLE.glob("*.csv"))
    assert recorded(11)
    assert scorers.scored_lines(place) == scorers.lines_of(files)
    assert [*place.glob(".attempts/*")] == []
    run = jobs.newest_run(project.here, "score")
    assert run.info.status == "FINISHED"
    assert sum(point.value for point in jobs.points(run, "rows_in")) == sum(scorers.lines_of(files).values())
