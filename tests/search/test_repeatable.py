"""The same data, K and seed give the same bits, on any number of cores and from files in any layout."""

import gzip
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retail_clusters.data import prepare
from retail_clusters.data.prepare import Prepared
from retail_clusters.experiment_file import load_experiment
from retail_clusters.search import publish
from retail_clusters.search.context import training_context
from retail_clusters.search.measure import measure
from retail_clusters.settings import Experiment
from tests import processes
from tests.conftest import PROJECT, SAMPLE

_SCRIPT = """
import json, sys
from pathlib import Path
from retail_clusters.infra.spark import spark_session
from tests.search.test_repeatable import digests
with spark_session("tests") as spark:
    print(json.dumps(digests(spark, Path(sys.argv[1]), k=int(sys.argv[2]))))
"""

Digests = Mapping[str, Mapping[str, str | float]]

#: Days of the sample: four weekdays that train, two of them that validate, and two that test.
FEW_DAYS = (
    "2011-06-02", "2011-06-15", "2011-06-21", "2011-06-27", "2011-07-04", "2011-08-10", "2011-11-01", "2011-11-14",
)  # fmt: skip


def digests(spark: SparkSession, folder: Path, *, k: int) -> Digests:
    """Train each shipped experiment; return digests and metrics. It also runs in a process of its own."""
    prepared = prepare.make(spark, prepare.source(str(folder), Experiment().input), run_id="unknown")
    experiments = sorted((PROJECT / "experiments").glob("*.yaml"))
    return {path.stem: trained(prepared, load_experiment(path), k=k) for path in experiments}


def trained(prepared: Prepared, experiment: Experiment, *, k: int) -> Mapping[str, str | float]:
    context = training_context(prepared, experiment=experiment)
    measured = measure(context, context.fit(k=k, seed=1))
    tags = publish.run_tags(context, measured)
    names = ("data_digest", "model_digest", "labels_digest")
    return {**measured.metrics, **{name: tags[name] for name in names}}


def digests_elsewhere(folder: Path, *, k: int, **environment: str) -> Digests:
    """Train in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(folder), str(k)],
        cwd=PROJECT,
        env=processes.environment(**environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: Digests = json.loads(done.stdout.splitlines()[-1])
    return found


def in_other_files(source: Path, folder: Path) -> Path:
    """The same lines in seven packed files, in another order."""
    folder.mkdir()
    files = sorted(source.glob("*.csv"))
    header, *_ = files[0].read_text(encoding="utf-8").splitlines()
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()[1:]]
    random.Random(7).shuffle(lines)
    for part in range(7):
        text = "\n".join([header, *lines[part::7], ""])
        (folder / f"part-{part}.csv.gz").write_bytes(gzip.compress(text.encode(), 1))
    return folder


@pytest.fixture(scope="module")
def few_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few") / "days"
    folder.mkdir()
    for day in FEW_DAYS:
        shutil.copy(SAMPLE / f"{day}.csv", folder)
    return folder


@pytest.fixture(scope="module")
def on_two_cores(spark: SparkSession, few_days: Path) -> Digests:
    assert spark.sparkContext.master == "local[2]"
    return digests(spark, in_other_files(few_days, few_days.parent / "other"), k=5)


@pytest.mark.parametrize("master", ["local[1]", "local[4]"])
def test_each_shipped_experiment_gives_the_same_bits_on_any_number_of_cores_and_in_any_layout(
    few_days: Path, on_two_cores: Digests, master: str
):
    assert digests_elsewhere(few_days, k=5, SPARK_MASTER=master) == on_two_cores


def test_shipped_experiments_differ_in_their_models(on_two_cores: Digests):
    assert len({found["model_digest"] for found in on_two_cores.values()}) == len(on_two_cores) == 5


@pytest.mark.soak
@pytest.mark.parametrize(
    "where",
    [
        {"SPARK_MASTER": "local[1]"},
        {"SPARK_MASTER": "local[4]"},
        {"SPARK_MASTER": "local-cluster[2,1,1024]", "SPARK_LOCAL_IP": "127.0.0.1"},
    ],
    ids=lambda where: where["SPARK_MASTER"],
)
def test_bits_of_the_sample_are_the_same_on_any_master(spark: SparkSession, where: dict[str, str]):
    assert digests_elsewhere(SAMPLE, k=20, **where) == digests(spark, SAMPLE, k=20)


@pytest.mark.soak
@pytest.mark.real
def test_bits_of_the_real_data_are_the_same_on_four_cores_and_in_any_layout(
    spark: SparkSession, real_data: Path, tmp_path: Path
):
    other = in_other_files(real_data, tmp_path / "other")
    assert digests_elsewhere(real_data, k=20, SPARK_MASTER="local[4]") == digests(spark, other, k=20)
