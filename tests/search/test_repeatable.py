"""The same data, K and seed give the same bits, on any number of cores and from files in any layout."""

import gzip
import json
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from retail_clusters.search import publish
from retail_clusters.search.measure import measure
from retail_clusters.settings import Experiment, Training
from tests import examples, processes
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


def digests(spark: SparkSession, folder: Path, *, k: int) -> Digests:
    """Train with each solver; return digests and metrics. It also runs in a process of its own."""
    return {
        "exact": trained(spark, folder, Experiment(), k=k),
        "spark": trained(spark, folder, Experiment(training=Training(solver="spark")), k=k),
    }


def trained(
    spark: SparkSession, folder: Path, experiment: Experiment, *, k: int
) -> Mapping[str, str | float]:
    context = examples.context_of_files(spark, folder, experiment=experiment)
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


def test_bits_are_the_same_in_any_layout(spark: SparkSession, tmp_path: Path):
    """On one core and on two they are compared by a sweep that is killed on one (test_sweep.py)."""
    files = examples.write_files(tmp_path / "in")
    other = in_other_files(files, tmp_path / "other")
    one, two = (trained(spark, folder, Experiment(), k=5) for folder in (files, other))
    assert one == two


@pytest.mark.soak
def test_bits_are_the_same_on_one_core_and_on_two_and_in_any_layout(spark: SparkSession, tmp_path: Path):
    files = examples.write_files(tmp_path / "in")
    assert spark.sparkContext.master == "local[2]"
    one = digests_elsewhere(files, k=5, SPARK_MASTER="local[1]")
    two = digests(spark, in_other_files(files, tmp_path / "other"), k=5)
    assert one == two
    assert two["exact"]["model_digest"] != two["spark"]["model_digest"]


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
