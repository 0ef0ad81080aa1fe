"""What the tests of the scorer share: models, files, processes, and counts made without Spark."""

import bz2
import csv
import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from pyspark.sql import SparkSession

from retail_clusters import schema
from retail_clusters.features.drift import DRIFT_BASELINE, measure_baseline
from retail_clusters.features.interface import interface
from retail_clusters.features.model import ScoringModel
from retail_clusters.features.pipeline import fit_space
from retail_clusters.features.rows import CELL, RECORDS, WeightedRows, weighted_rows
from retail_clusters.question import Feature, Question, Unit
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.serving import score
from retail_clusters.serving.score import ScoreRequest, ScoreSummary
from retail_clusters.settings import Scoring
from tests import examples

registry = ModelRegistry("retail-clusters")
HEADER = ",".join(schema.COLUMNS)
LINE = "536365,85123A,WHITE,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom"
SCRIPT = """
import json, sys
from retail_clusters.registry import tracking
from retail_clusters.infra.spark import spark_session
from retail_clusters.serving import score
from retail_clusters.serving.score import ScoreRequest
from retail_clusters.settings import Scoring
arguments = json.loads(sys.argv[1])
tracking.connect(experiment="tests")
with spark_session("score") as spark:
    score.run(spark, ScoreRequest(**arguments | {"settings": Scoring(**arguments["settings"])}))
"""


#: Customers by what they bought and how often, of lines that have a customer.
CUSTOMERS = Question(
    unit=Unit(by=("CustomerID",), days=30),
    clean={"no_customer": "CustomerID IS NULL"},
    features={"spend": Feature(sql="sum(cost)"), "invoices": Feature(sql="count(DISTINCT InvoiceNo)")},
)


def register_models(spark: SparkSession, *chosen: tuple[int, str]) -> list[str]:
    """Register a small model of lines for each (K, unseen days)."""
    questions = [(k, Question(features=examples.lines(unseen=unseen))) for k, unseen in chosen]
    return [register_model(spark, question, _training_rows(), k=k) for k, question in questions]


def register_picky(spark: SparkSession) -> str:
    """Register a model of lines that leaves some out."""
    price = Feature(sql="UnitPrice")
    question = Question(
        clean={"cancelled": "InvoiceNo LIKE 'C%'"}, features={**examples.lines(), "price": price}
    )
    return register_model(spark, question, _training_rows(), k=3)


def register_customers(spark: SparkSession, *, k: int = 2) -> str:
    """Register a model of clusters of customers, who spend from some 1 to 50."""
    cells = pa.table({"spend": [1.0, 50.0], "invoices": [1.0, 50.0], CELL: [0, 1], RECORDS: [1, 1]})
    return register_model(spark, CUSTOMERS, weighted_rows(cells, list(CUSTOMERS.features)), k=k)


def register_model(spark: SparkSession, question: Question, rows: WeightedRows, *, k: int) -> str:
    """Register a model of k clusters along a line, fitted on rows."""
    space = fit_space(rows, question, spark=spark)
    model = ScoringModel.of(space, np.linspace(1, 50, k)[:, None] * np.ones(len(space.names)))
    metadata = dict(model.metadata)
    if question.unit is None:
        labels = np.arange(len(rows)) % k
        metadata[DRIFT_BASELINE] = measure_baseline(rows, labels, clusters=k, question=question).to_json()
    with mlflow.start_run(run_name="train"):
        scorer = model.pipeline(spark=spark)
        return registry.register(scorer, interface=interface(question), metadata=metadata, tags={})


def register_broken(*, of: str) -> str:
    """Register a version whose artifact nobody has."""
    run = mlflow.get_run(registry.read_version(version=of).run_id)
    made = mlflow.MlflowClient().create_model_version(
        registry.name, source=f"{run.info.artifact_uri}/gone", run_id=run.info.run_id
    )
    return str(made.version)


def _training_rows() -> WeightedRows:
    """Return rows of every weekday but Saturday."""
    days = [day for day in schema.WEEKDAYS if day != "Saturday"]
    prices = np.linspace(0.5, 40, 20 * len(days)).tolist()
    return examples.weighted(
        *((price, at % 24 + 1, days[at % len(days)], at % 7 + 1) for at, price in enumerate(prices))
    )


def request(source: Path, *, files: int = 20, **changes: object) -> ScoreRequest:
    """Ask for what is in a folder, with output and checkpoint beside it."""
    settings = {name: changes.pop(name) for name in ("shadow", "archive") if name in changes}
    arguments: dict[str, Any] = {
        "source": str(source),
        "output": str(source.parent / "output"),
        "checkpoint": str(source.parent / "checkpoint"),
        "settings": Scoring(max_files_per_trigger=files, **settings),  # type: ignore[arg-type]
    }
    return ScoreRequest(**arguments | changes)


def drain(spark: SparkSession, source: Path, **changes: object) -> ScoreSummary:
    """Score what is in a folder, in here."""
    return score.run(spark, request(source, **changes))  # type: ignore[arg-type]


def start(
    source: Path, *, stdout: IO[str] | int = subprocess.PIPE, **changes: object
) -> "subprocess.Popen[str]":
    """Start a scorer as a process of its own, in a group of its own.

    It says a line a batch: where there are many, to a file, since a full pipe would halt it.
    """
    asked = asdict(request(source, **changes))  # type: ignore[arg-type]
    asked |= {"settings": asked["settings"].model_dump()}
    del asked["how"]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, json.dumps(asked)],
        env=os.environ | {"SPARK_MASTER": "local[2]"},
        stdout=stdout,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def kill(process: "subprocess.Popen[str]") -> None:
    """Kill -9 a started scorer and its JVM."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def lines(count: int = 1, *, invoice: str = "536365") -> str:
    """Return a file of so many lines."""
    return f"{HEADER}\n" + f"{LINE.replace('536365', invoice)}\n" * count


def put(folder: Path, name: str, content: str | bytes) -> Path:
    """Let a file arrive in one step, as a shop should."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{name}.writing"
    draft.write_bytes(content.encode() if isinstance(content, str) else content)
    return draft.replace(folder / name)


def wait_until(
    condition: Callable[[], object], process: "subprocess.Popen[str] | None" = None, *, seconds: float = 120
) -> None:
    """Wait for a condition, by looking; fail at the deadline, or when the process that brings it ends."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"waited {seconds} seconds in vain"
        if process is None:
            threading.Event().wait(0.02)
            continue
        try:
            process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
        assert condition(), process.communicate()[0]


def rows(output: Path, kind: str, *columns: str) -> list[dict[str, object]]:
    """Read the output of a kind without Spark."""
    partitioning = ds.partitioning(flavor="hive")
    found: list[dict[str, object]] = (
        ds.dataset(output / kind, format="parquet", partitioning=partitioning)
        .to_table(columns=list(columns) or None)
        .to_pylist()
    )
    return found


def batches(output: Path) -> list[dict[str, Any]]:
    """Read the records of the batches of an output."""
    return [json.loads(file.read_text()) for file in (output / "commits").glob("[0-9]*.json")]


def scored_by_batch(output: Path) -> Counter[tuple[int, int]]:
    """Count scored lines by batch and model version."""
    found = rows(output, "scored", "batch_id", "model_version")
    return Counter((int(str(row["batch_id"])), int(str(row["model_version"]))) for row in found)


def lines_of(files: Iterable[Path]) -> Counter[tuple[str | None, ...]]:
    """Read invoice number, stock code, description and country of every line with Python's csv module."""
    found: Counter[tuple[str | None, ...]] = Counter()
    for file in files:
        with file.open(encoding="utf-8", newline="") as text:
            for row in csv.DictReader(text):
                found[tuple(row[name] or None for name in KEY)] += 1
    return found


KEY = (schema.INVOICE_NO, schema.STOCK_CODE, schema.DESCRIPTION, schema.COUNTRY)


def scored_lines(output: Path) -> Counter[tuple[object, ...]]:
    """Read the same of every scored line."""
    return Counter(tuple(row[name] for name in KEY) for row in rows(output, "scored", *KEY))


_NAMES = set(HEADER.split(","))


def count_lines(file: Path) -> int:
    """Count the lines that a file brings in, from its bytes: what is neither blank nor a header, in any order."""
    found = _content(file).decode("utf-8", errors="replace").removeprefix("\ufeff")
    kept = [line for line in re.split(r"\r\n|\r|\n", found) if line.strip(" ")]
    return sum(not set(re.sub('["\ufeff \t]', "", line).split(",")) >= _NAMES for line in kept)


def _content(file: Path) -> bytes:
    """Read a file, and of a damaged packed one the lines before the damage."""
    unpack, pieces = {".gz": gzip.open, ".bz2": bz2.open}.get(file.suffix, Path.open), list[bytes]()
    with unpack(file, "rb") as stream:  # type: ignore[operator]
        try:
            while piece := stream.read1(8192):
                pieces.append(piece)
        except (EOFError, OSError, zlib.error):
            found = b"".join(pieces)
            return found[: max(found.rfind(b"\n"), found.rfind(b"\r")) + 1]
    return b"".join(pieces)


def points(run_id: str, name: str) -> dict[int, float]:
    """Return the points of a metric by step; more than one a step is a failure."""
    history = mlflow.MlflowClient().get_metric_history(run_id, name)
    assert len({point.step for point in history}) == len(history)
    return {point.step: point.value for point in history}


class Server:
    """A real MLflow server on loopback, on the store of a folder, that can be stopped and started again."""

    def __init__(self, place: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        store = f"sqlite:///{self._place / 'mlflow.db'}"
        options = [
            "--backend-store-uri",
            store,
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--workers",
            "1",
        ]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # eight processes that nobody needs here
        with (self._place / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *options],
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        wait_until(self._answers)

    def stop(self) -> None:
        """Kill it, with its workers."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._place / "server.log").read_text()
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
