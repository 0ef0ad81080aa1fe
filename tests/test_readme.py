"""What the documents tell the user to type, typed: in order, in a fresh clone, with an empty store."""

import hashlib
import json
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import mlflow
import pandas as pd
import pytest
import yaml

from retail_clusters.schema import INVOICE_LINE
from tests.conftest import SAMPLE
from tests.readme import Done, Reader, clone, commands, keep_in

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")

Check = Callable[[Reader, Done], None]


def test_every_make_target_in_the_documents_is_in_the_makefile():
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    told = README + (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    used = set(re.findall(r"(?:^|`)make ([a-z]+)", told, re.MULTILINE))
    assert used
    assert used <= targets


def test_every_entry_point_is_in_the_table_of_the_readme():
    entry_points = yaml.safe_load((PROJECT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
    assert set(re.findall(r"^\| `([a-z]+)` \|", README, re.MULTILINE)) == set(entry_points)


def test_every_link_of_the_documents_leads_to_a_file():
    documents = [PROJECT / "README.md", *(PROJECT / "docs").rglob("*.md"), PROJECT / "data" / "README.md"]
    missing = [
        (document.name, link)
        for document in documents
        for link in re.findall(r"]\(([^)#:]+)\)", document.read_text(encoding="utf-8"))
        if not (document.parent / link).exists()
    ]
    assert missing == []


def champion(model: str = "retail-clusters") -> str:
    return str(mlflow.MlflowClient().get_model_version_by_alias(model, "champion").version)


def main_has_run(reader: Reader, done: Done, *, experiment: str, model: str = "retail-clusters") -> None:
    assert done.code == 0, done.err
    made = mlflow.get_run(done.run_id)
    assert made.info.run_name == "main"
    assert mlflow.get_experiment(made.info.experiment_id).name == experiment
    steps = mlflow.search_runs(
        [made.info.experiment_id],
        filter_string=f"tags.`mlflow.parentRunId` = '{done.run_id}'",
        output_format="list",
    )
    assert {run.info.run_name.split()[0] for run in steps} == {
        "prepare",
        "sweep",
        "register",
        "promote",
        "score",
    }
    kind = "segments" if experiment == "customers" else "scored"
    assert list((reader.place / "output" / str(done.run_id) / kind).rglob("*.parquet"))
    assert f"version {champion(model)}" in done.out


def swept(_: Reader, done: Done) -> None:
    assert done.code == 0, done.err
    assert mlflow.MlflowClient().get_model_version_by_alias("retail-clusters", "challenger")


def nothing_has_moved(_: Reader, done: Done) -> None:
    assert done.code == 0, done.err
    assert champion() == "1"
    assert f"against version {champion()}, the champion" in done.out
    assert "not_worse" in done.out


def champion_has_moved(_: Reader, done: Done) -> None:
    assert done.code == 0, done.err
    assert champion() != "1"
    assert f"champion is version {champion()}" in done.out


def page_is_written(reader: Reader, done: Done) -> None:
    assert done.code == 0, done.err
    page = (reader.place / "output" / "version-2.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")


def lines_are_scored(reader: Reader, done: Done) -> None:
    assert done.code == 0, done.err
    files = (reader.place / "data" / "sample" / "by-day").iterdir()
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) - 1 for file in files)
    assert f"{lines:,} lines" in done.out
    for folder in ("scored", "checkpoint"):
        assert (reader.place / "output" / "daily" / folder).is_dir()


def segments_are_written(reader: Reader, done: Done) -> None:
    assert done.code == 0, done.err
    place = reader.place / "output" / "customers"
    dates = [{folder.name for folder in (place / kind).iterdir()} for kind in ("segments", "moves")]
    assert len(dates[0] - dates[1]) == 1  # the first has no moves
    assert dates[1] < dates[0]


def table_is_written(reader: Reader, done: Done) -> None:
    assert done.code == 0, done.err
    table = pd.read_csv(reader.place / "output" / "customers.csv")
    assert {"CustomerID", "segment", "since", "previous"} <= {*table}
    assert "Big spenders" in {*table["name"]}


def champion_is_back(_: Reader, done: Done) -> None:
    assert done.code == 0, done.err
    assert champion() == "1"


def says(*parts: str) -> Check:
    def check(_: Reader, done: Done) -> None:
        assert done.code == 0, done.err
        for part in parts:
            assert part in done.out

    return check


def history_is_json(_: Reader, done: Done) -> None:
    assert [move["action"] for move in json.loads(done.out)] == ["promote", "promote", "rollback"]


def prepared_in_default(_: Reader, done: Done) -> None:
    assert done.code == 0, done.err
    run = mlflow.get_run(done.run_id)
    assert run.data.params["split.train_until"] == "2011-06-01"
    assert mlflow.get_experiment(run.info.experiment_id).name == "default"


def synthetic_is_the_sample(reader: Reader, done: Done) -> None:
    assert done.code == 0, done.err
    made = sorted((reader.place / "data" / "synthetic").iterdir())
    assert [file.name for file in made] == sorted(file.name for file in SAMPLE.iterdir())
    assert all(file.read_bytes() == (SAMPLE / file.name).read_bytes() for file in made)


def fetched(reader: Reader, done: Done) -> None:
    assert done.code == 0, done.err
    assert len(list((reader.place / "data/retail-data/by-day").glob("*.csv"))) == len(SOME)


SOME = sorted(SAMPLE.iterdir())[::3]
EXPECTED: dict[str, Check] = {
    "make run": partial(main_has_run, experiment="default"),
    "make run DATA=path/to/by-day EXPERIMENT=experiments/customers.yaml": partial(
        main_has_run, experiment="customers", model="retail-clusters-customers"
    ),
    'python -m retail_clusters names --experiment experiments/customers.yaml --name 0="Big spenders"': says(
        "0  Big spenders  (given)"
    ),
    "python -m retail_clusters score --experiment experiments/customers.yaml "
    "--output output/customers --every 30d": segments_are_written,
    "python -m retail_clusters segments --scored output/customers "
    "--output output/customers.csv": table_is_written,
    "mlflow run . --env-manager local --experiment-name default -e prepare "
    '-P "set=split.train_until=2011-06-01"': prepared_in_default,
    "python -m retail_clusters sweep --study even --trials 40 --set guardrails.max_cluster_share=0.6": swept,
    "python -m retail_clusters promote --dry-run true": nothing_has_moved,
    'python -m retail_clusters promote --reason "more even sizes"': champion_has_moved,
    "python -m retail_clusters report --version 2 --output output/version-2.html": page_is_written,
    "python -m retail_clusters score --source data/sample/by-day --output output/daily": lines_are_scored,
    'python -m retail_clusters rollback --reason "two clusters changed places"': champion_is_back,
    "python -m retail_clusters history": says("more even sizes", "two clusters changed places"),
    "python -m retail_clusters --help": says("main", "sweep", "promote"),
    "python -m retail_clusters history --json": history_is_json,
    "python -m retail_clusters generate --output data/synthetic": synthetic_is_the_sample,
    "python -m retail_clusters fetch": fetched,
    "python -m retail_clusters prepare --data data/retail-data/by-day": says("prepare:"),
}
#: `make ui` is a server (tests/test_makefile.py); `make test` is what runs this.
NOT_TYPED = {"make ui", "make test"}


#: How many trials the searches have, and draws: in the soak about as many as a reader's, else a few.
LONG = {"set": "sweep.seeds=2; sweep.k_max=30; stability.draws=4"}
SHORT = {"set": "sweep.seeds=1; sweep.k_max=6; stability.draws=2"}
FEW_TRIALS = ("--set", "sweep.k_min=19; sweep.k_max=20; sweep.seeds=2; stability.draws=2")


@pytest.fixture(params=["short", pytest.param("long", marks=pytest.mark.soak)])
def reader(
    request: pytest.FixtureRequest,
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Reader:
    if not shutil.which("git") or not (PROJECT / ".git").exists():
        pytest.skip("a clone needs git, and a project under git")
    place = clone(PROJECT, workplace / "clone")
    monkeypatch.chdir(place)
    (place / "path" / "to" / "by-day").mkdir(parents=True)
    for file in SOME:
        shutil.copy(file, place / "path" / "to" / "by-day")
    if request.param == "short":
        keep_in(place, "data/sample/by-day", {file.name for file in SOME})
    return Reader(place, monkeypatch, capsys, extra=SHORT if request.param == "short" else LONG)


@contextmanager
def archive(folder: Path) -> Iterator[tuple[str, str]]:
    """Serve an archive of some of the sample, laid out as the public one; give its URL and checksum."""
    with tarfile.open(folder / "book.tar.gz", "w:gz") as packed:
        for file in SOME:
            packed.add(file, f"book/data/retail-data/by-day/{file.name}")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in SOME)).hexdigest()
        yield f"http://127.0.0.1:{server.server_port}/book.tar.gz", digest
        server.shutdown()


def test_commands_of_the_documents_do_what_the_documents_say(spark, reader, tmp_path):
    typed = [*commands(reader.place / "README.md"), *commands(reader.place / "data" / "README.md")]
    assert {*typed} == EXPECTED.keys() | NOT_TYPED
    with archive(tmp_path) as (url, digest):
        for line in typed:
            if line in NOT_TYPED:
                continue
            more = ("--url", url, "--sha256", digest) if line.endswith(" fetch") else ()
            if "sweep" in line.split() and reader.extra == SHORT:
                more = FEW_TRIALS
            EXPECTED[line](reader, reader.type(line, *more))
    left = reader.left_behind()
    assert left == ["?? path/"], left  # what this test has put there; all else is ignored by git
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert [run.info.run_name for run in runs if "kind" not in run.data.tags] == []
    (example,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    sample = str(reader.place / "data" / "sample" / "by-day")
    lines = spark.read.schema(INVOICE_LINE).csv(sample, header=True)
    names = {"raw_lines": lines}
    exec(example, names)
    assert names["scored"].count() == lines.count()
