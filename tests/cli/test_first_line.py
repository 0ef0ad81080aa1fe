"""A command says within moments what it does: before it imports what takes seconds."""

import json
import subprocess
import sys

import pytest

from tests.conftest import PROJECT

SLOW = ["mlflow", "pyspark", "pandas", "optuna", "matplotlib", "scipy"]
SCRIPT = f"""
import json, sys
import click

def first(text=None, **_):
    print(json.dumps([text, [name for name in {SLOW} if name in sys.modules]]))
    sys.exit()

click.echo = first
from retail_clusters.__main__ import main
main()
"""

#: What may take its time once Java is on its way.
SLOW_BESIDE_JAVA = [name for name in SLOW if name != "pyspark"]
STARTS_JAVA = f"""
import json, sys
from retail_clusters.infra import spark

def start(name, **_):
    print()
    print(json.dumps([name, [name for name in {SLOW_BESIDE_JAVA} if name in sys.modules]]))
    sys.exit()

spark.start_session_early = start
from retail_clusters.__main__ import main
main()
"""


def soak(*case: str):
    """Leave a case to the soak: each is a process of its own."""
    return pytest.param(*case, marks=pytest.mark.soak)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("train --k 20 --seed 1", "train: K=20, seed 1, on data/sample/by-day; results go to "),
        ("main", "main: prepare, sweep ("),
        soak("prepare", "prepare: data/sample/by-day, train until 2011-07-01"),
        soak("sweep --trials 4", "sweep: 4 trials of K 2 to 60"),
        ("promote --version 3", "promote: version 3 of retail-clusters"),
        soak("rollback", "rollback: retail-clusters back to"),
        soak("history", "history: the moves of champion of retail-clusters, in "),
        ("score --once false", "score: data/sample/by-day (what arrives, until Ctrl-C) with"),
        soak("purchases --mode stream", "purchases: spend per customer and day of data/sample/by-day"),
        soak("verify --version 3", "verify: version 3 of retail-clusters"),
        soak("report --version 3", "report: version 3 of retail-clusters, to output/report.html, in "),
        soak("generate --output made", "generate: 60 days"),
        soak("fetch", "fetch: the public data set from https://"),
    ],
)
def test_first_line_comes_before_anything_slow_is_imported(words, line):
    text, imported = run(SCRIPT, words)
    assert text.startswith(line)
    assert imported == []


@pytest.mark.parametrize(
    "words",
    [
        "main",
        "score",
        *map(soak, ("prepare", "train", "sweep", "promote", "verify --version 3", "purchases")),
    ],
)
def test_java_starts_before_anything_slow_is_imported(words):
    name, imported = run(STARTS_JAVA, words)
    assert words.startswith(name)
    assert imported == []


def run(script, words):
    done = subprocess.run(
        [sys.executable, "-c", script, *words.split()],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])
