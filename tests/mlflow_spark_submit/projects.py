"""A small project, and `mlflow run` of it as a user types it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

MLPROJECT = """
name: small
entry_points:
  main:
    parameters:
      text: {type: string, default: ""}
    command: "env PYTHONPATH=src LEVEL=high python -m job count --text {text}"
  fail:
    command: "env PYTHONPATH=src python -m job fail"
  stay:
    command: "env PYTHONPATH=src python -m job stay"
  shell:
    command: "bash run.sh"
"""

JOB = """
import json, os, sys, time
import mlflow


def count():
    from pyspark.sql import SparkSession

    def rows(part):
        import parcel
        yield parcel.NAME, os.getcwd()

    spark = SparkSession.builder.getOrCreate()
    seen = spark.sparkContext.parallelize(range(2), 2).mapPartitions(rows).collect()
    mlflow.log_params({
        "master": spark.sparkContext.master,
        "parcels": ",".join(sorted({name for name, _ in seen})),
        "folders": ",".join(sorted({folder for _, folder in seen})),
        "property": spark.conf.get("spark.small.text"),
    })
    spark.stop()


with mlflow.start_run() as run:
    mlflow.log_dict(sys.argv[1:], "arguments.json")
    mlflow.set_tags({"level": os.environ.get("LEVEL", ""), "folder": os.getcwd()})
    print("job says hello", flush=True)
    if sys.argv[1] == "count":
        count()
    elif sys.argv[1] == "fail":
        os._exit(7)
    else:
        mlflow.set_tag("pid", os.getpid())
        time.sleep(600)
"""


def make_project(folder: Path) -> Path:
    (folder / "src" / "job").mkdir(parents=True)
    (folder / "MLproject").write_text(MLPROJECT, encoding="utf-8")
    (folder / "src" / "job" / "__main__.py").write_text(JOB, encoding="utf-8")
    return folder


def start(project: Path, config: dict[str, Any], *options: str, **changes: str) -> "subprocess.Popen[str]":
    """Start `mlflow run` on the backend, in a process group of its own."""
    config_file = project / "cluster.json"
    config_file.write_text(json.dumps(config), encoding="utf-8")
    words = ["run", str(project), "--backend", "spark-submit", "--backend-config", str(config_file), *options]
    return subprocess.Popen(
        [sys.executable, "-m", "mlflow", *words],
        env=os.environ | changes,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
