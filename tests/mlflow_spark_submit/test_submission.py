"""What spark-submit is started with."""

import stat
import sys
from pathlib import Path

from mlflow_spark_submit.submission import ClusterConfig, ModuleCommand, Submission, prepare_submission

COMMAND = ModuleCommand("job", ("--text", "a b"), {"PYTHONPATH": "src", "LEVEL": "high"})
RUN = {"MLFLOW_RUN_ID": "r1", "MLFLOW_TRACKING_URI": "https://mlflow.example", "MLFLOW_EXPERIMENT_ID": "7"}
SECRET = {"MLFLOW_TRACKING_URI": "https://user:hush@mlflow.example"}


def prepare(folder: Path, config: ClusterConfig, run: dict[str, str] = RUN) -> Submission:
    return prepare_submission(config, COMMAND, run_variables=run, folder=folder)


def value_of(option: str, submission: Submission) -> str:
    return submission.words[submission.words.index(option) + 1]


def properties(folder: Path) -> dict[str, str]:
    lines = (folder / "spark.properties").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", maxsplit=1) for line in lines)


def test_the_run_is_handed_over_in_the_environment_alone(tmp_path):
    submission = prepare(tmp_path, ClusterConfig(master="spark://a:7077"), RUN | SECRET)
    assert submission.environment.items() >= (RUN | SECRET | COMMAND.variables).items()
    assert "hush" not in " ".join(submission.words)
    assert "hush" not in (tmp_path / "spark.properties").read_text(encoding="utf-8")
    assert submission.words[-3:] == ("job", "--text", "a b")


def test_archive_brings_the_python_of_executors(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("packed.tar.gz").touch()
    submission = prepare(tmp_path, ClusterConfig(archive="packed.tar.gz"))
    assert value_of("--archives", submission) == f"{tmp_path}/packed.tar.gz#environment"
    python = {"spark.pyspark.python": "./environment/bin/python"}
    assert properties(tmp_path) == python | {"spark.pyspark.driver.python": sys.executable}


def test_properties_are_read_by_their_owner_alone_and_the_users_own_win(tmp_path):
    conf = {"spark.pyspark.driver.python": "python3.11", "spark.a": True, "spark.b": "x\\y\nz"}
    submission = prepare(tmp_path, ClusterConfig(conf=conf))
    path = Path(value_of("--properties-file", submission))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert properties(tmp_path) == {
        "spark.pyspark.driver.python": "python3.11",
        "spark.a": "true",
        "spark.b": r"x\\y\nz",
    }
    assert "--load-spark-defaults" in submission.words


def test_the_program_is_that_of_spark_home_or_else_of_pyspark(tmp_path, monkeypatch):
    monkeypatch.delenv("SPARK_HOME", raising=False)
    submission = prepare(tmp_path, ClusterConfig())
    assert Path(submission.words[0]) == Path(submission.environment["SPARK_HOME"], "bin", "spark-submit")
    monkeypatch.setenv("SPARK_HOME", "/opt/spark")
    assert prepare(tmp_path, ClusterConfig()).words[0] == "/opt/spark/bin/spark-submit"
