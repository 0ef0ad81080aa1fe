"""What a training and its scored lines come down to: digests that every change keeps."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import mlflow
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_clusters.__main__ import cli

_SCORED: Final = ("InvoiceNo", "StockCode", "Quantity", "UnitPrice", "InvoiceDate", "prediction")
_ANY_SIZE: Final = [
    *("--set", "promotion.max_cluster_share=1.0"),
    *("--set", "guardrails.max_cluster_share=1.0"),
]
_TAGS: Final = ("model_digest", "labels_digest")


def digests(spark: SparkSession, *, data: Path, experiment: Path, k: int, seed: int) -> dict[str, str]:
    """Train K and seed, promote and score with the project's commands; return the digests of the results."""
    options = ["--experiment", str(experiment)]
    _run("train", ["--data", str(data), "--k", str(k), "--seed", str(seed), *options])
    _run("promote", ["--reason", "golden", *options, *_ANY_SIZE])
    _run("score", ["--source", str(data), "--output", "golden", *options])
    (model,) = mlflow.MlflowClient().search_registered_models()
    champion = mlflow.MlflowClient().get_model_version_by_alias(model.name, "champion")
    run = mlflow.get_run(champion.run_id)
    return {name: run.data.tags[name] for name in _TAGS} | {"predictions": _predictions(spark, "golden")}


def _run(name: str, arguments: Sequence[str]) -> None:
    cli.main([name, *arguments], standalone_mode=False)


def _predictions(spark: SparkSession, output: str) -> str:
    """Hash the scored lines, or the segments of units, as a multiset: neither their order nor their files matter."""
    place = Path(output).absolute()
    if (place / "segments").exists():
        scored = spark.read.parquet(f"file://{place}/segments").drop("model_version")
    else:
        scored = spark.read.parquet(f"file://{place}/scored").select(*_SCORED)
    hashed = F.xxhash64(*scored.columns).cast("decimal(38,0)")
    found = scored.agg(F.count(F.lit(1)), F.sum(hashed)).first()
    return hashlib.sha256(repr((int(found[0]), int(found[1]))).encode()).hexdigest()[:32]
