from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from retail_clusters.errors import InputError
from retail_clusters.infra import checkpoint, storage
from retail_clusters.infra.locations import join, literal, to_uri
from tests.viewfs import in_session

NAMES = ["a b%20.csv", "c#[1].csv", "d.csv", "é.csv"]


@pytest.fixture(params=["local", "viewfs"])
def place(request: pytest.FixtureRequest, tmp_path: Path, spark: SparkSession) -> str:
    if request.param == "local":
        return str(tmp_path)
    return in_session(spark, tmp_path)


def run(spark: SparkSession, place: str) -> list[int]:
    """Run a stream of one file a batch over what is in SOURCE; return the batches that it ran."""
    ran: list[int] = []

    def take(frame: DataFrame, batch: int) -> None:
        frame.collect()
        ran.append(batch)

    session = spark.newSession()
    session.conf.set("spark.sql.shuffle.partitions", "1")
    session.conf.set("spark.sql.streaming.fileSource.log.compactInterval", "3")
    lines = session.readStream.option("maxFilesPerTrigger", 1).text(literal(join(place, "source")))
    query = (
        lines.writeStream.foreachBatch(take)
        .option("checkpointLocation", to_uri(join(place, "checkpoint")))
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    return ran


def test_a_checkpoint_that_is_not_there_says_nothing(tmp_path: Path):
    empty = str(tmp_path / "none")
    assert checkpoint.query_id(empty) is None
    assert checkpoint.last_batch(empty) is None
    assert not checkpoint.has_started(empty)
    assert checkpoint.committed_files(empty) == []


def test_a_real_stream_tells_its_files_and_batches(spark: SparkSession, place: str):
    storage.make_folder(join(place, "source"))
    for day, name in enumerate(NAMES, start=1):
        storage.write_text(join(place, "source", name), f"2011-01-0{day} 12:00:00\n")
    ran, made = run(spark, place), join(place, "checkpoint")
    assert checkpoint.has_started(made)
    assert checkpoint.last_batch(made) == max(ran)
    files = checkpoint.committed_files(made)
    assert sorted(map(to_uri, files)) == sorted(to_uri(join(place, "source", name)) for name in NAMES)
    assert all(storage.is_file(file) for file in files)

    identity = checkpoint.query_id(made)
    storage.write_text(join(place, "source", "later.csv"), "2011-01-09 12:00:00\n")
    assert run(spark, place)[0] == max(ran) + 1
    assert checkpoint.query_id(made) == identity
    assert len(checkpoint.committed_files(made)) == len(NAMES) + 1


def test_a_log_of_another_version_is_refused(tmp_path: Path):
    for log in ("offsets", "commits"):
        (tmp_path / log).mkdir()
        (tmp_path / log / "0").write_text("v9\n{}\n{}")
    with pytest.raises(InputError, match=r"version v1, but .* is of 'v9'"):
        checkpoint.committed_files(str(tmp_path))
