"""Rows in memory and in the partitions of a frame give the same sums."""

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from retail_clusters.clustering import blocks, kmeans, metrics
from retail_clusters.clustering.blocks import Block, Rows
from retail_clusters.features import rows
from retail_clusters.settings import Experiment, Lloyd, Training
from tests import examples


def vectors(n: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(0)
    values = np.column_stack(
        [chance.integers(1, 5000, n) / 100, chance.integers(-50, 200, n), np.eye(3)[chance.integers(0, 3, n)]]
    )
    return values, chance.integers(1, 99, n).astype(float)


def frame_of(spark: SparkSession, values: np.ndarray, weights: np.ndarray) -> DataFrame:
    """Return rows in one partition, in their order."""
    table = pa.table({rows.VALUES: pa.array(values.tolist()), rows.RECORDS: weights.astype(int)})
    return spark.createDataFrame(table).coalesce(1)


def fitted(all_rows: Rows[Block], first: np.ndarray) -> tuple[kmeans.Fit, metrics.Quality]:
    found = kmeans.iterate(all_rows, first, max_iterations=1, tolerance=1e-4)
    return found, metrics.measure(all_rows, found.centres)


def test_one_partition_gives_the_bits_of_memory(spark):
    values, weights = vectors(blocks.BLOCK_ROWS + 100)
    in_memory, in_spark = (
        fitted(each, values[:5])
        for each in (blocks.in_memory(values, weights), rows.partitions(frame_of(spark, values, weights)))
    )
    assert in_spark[0].centres.tobytes() == in_memory[0].centres.tobytes()
    assert in_spark[0].cost == in_memory[0].cost
    assert in_spark[1] == in_memory[1]


def test_partitions_repeat_to_the_bit_and_an_empty_one_adds_nothing(spark):
    values, weights = vectors(300)
    frame = frame_of(spark, values, weights)
    three = frame.repartitionByRange(3, rows.RECORDS).sortWithinPartitions(rows.VALUES, rows.RECORDS)
    one, with_empty = (
        fitted(rows.partitions(each), values[:5])
        for each in (three, three.union(frame.where(f"{rows.RECORDS} < 0")))
    )
    assert one[0].centres.tobytes() == with_empty[0].centres.tobytes()
    assert one[1] == with_empty[1]
    memory = fitted(blocks.in_memory(values, weights), values[:5])
    assert one[0].centres == pytest.approx(memory[0].centres, rel=1e-12)
    assert one[1].silhouette == pytest.approx(memory[1].silhouette, abs=1e-9)


def test_rows_that_stay_in_spark_train_the_model_that_rows_in_memory_train(spark):
    made = [(1.0 + n % 7 * 10, 2 * n, "Monday" if n % 3 else "Friday", 1 + n % 4) for n in range(40)]
    parts = {"train": made, "validation": made[::2], "test": made[1::3]}
    memory, partitions = (
        examples.context(
            spark,
            **parts,
            experiment=Experiment(
                features=examples.lines(),
                training=Training(in_memory_rows=most),
                lloyd=Lloyd(max_iterations=2),
            ),
        )
        for most in (1000, 50)
    )
    assert (memory.whole, partitions.whole) == (True, False)
    one, other = (each.fit(k=4, seed=3) for each in (memory, partitions))
    assert one.centres.tobytes() == other.centres.tobytes()
    assert dict(one.metrics) == dict(other.metrics)


def test_weighted_rows_are_sorted_by_their_features_and_merged_ones_add_up():
    one = examples.weighted((2.0, 1, "Monday", 5), (1.0, 9, "Tuesday", 2), (1.0, 9, "Friday", 3))
    assert one.numbers("price").tolist() == [1, 1, 2]
    assert one.texts("weekday") == ["Friday", "Tuesday", "Monday"]
    merged = rows.merge(one, examples.weighted((1.0, 9, "Friday", 4)))
    assert merged.weights.tolist() == [7, 2, 5]
    assert merged.weights_by_group.sum(axis=1).tolist() == [7, 2, 5]


def test_records_are_counted_by_row_and_group():
    cells = {"price": [1.0, 1.0, 2.0], rows.CELL: [3, 23, 19], rows.RECORDS: [2, 1, 4]}
    for order in ([0, 1, 2], [2, 1, 0]):
        found = rows.weighted_rows(pa.table(cells).take(order), ["price"]).weights_by_group
        assert found.shape == (2, rows.DAY_GROUPS)
        assert (found[0, 3], found[1, 19], found.sum()) == (3, 4, 7)
