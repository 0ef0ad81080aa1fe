import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from retail_clusters.clustering import blocks

CELLS = st.sampled_from([-2.5, 0.0, 1.0, 38_970.0])
MATRICES = st.tuples(st.integers(1, 12), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=CELLS)
)


@given(values=MATRICES, block_rows=st.integers(1, 5))
def test_blocks_hold_the_vectors_in_the_order_given_and_survive_pickling(values, block_rows):
    weights = np.arange(1.0, len(values) + 1)
    rows = pickle.loads(pickle.dumps(blocks.in_memory(values, weights, block_rows=block_rows)))
    assert np.array_equal(np.concatenate([block.values for block in rows.blocks]), values)
    assert np.array_equal(np.concatenate([block.weights for block in rows.blocks]), weights)
    assert max(len(block) for block in rows.blocks) <= block_rows


def distances(values: np.ndarray, centre: np.ndarray) -> np.ndarray:
    block = blocks.block(values, np.ones(len(values)))
    out, scratch = np.full((2, len(values)), np.nan)
    block.squared_distances(centre, block.category_distances(centre[None])[0], out=out, scratch=scratch)
    return out


@given(values=MATRICES, centre=arrays(np.float64, 4, elements=CELLS))
def test_distances_are_sums_of_squared_differences(values, centre):
    centre = centre[: values.shape[1]]
    assert distances(values, centre) == pytest.approx(((values - centre) ** 2).sum(axis=1), rel=1e-12)


def test_last_digits_of_large_numbers_stay_in_a_distance():
    values = np.array([[38_970.01, 80_995.0], [38_970.02, 80_995.0], [0.5, 1.0]])
    found = distances(values, np.array([38_970.0, 80_995.0]))
    assert np.sqrt(found[:2]) == pytest.approx([0.01, 0.02], rel=1e-8)


def test_columns_with_two_values_share_one_category():
    values = np.array([[2.95, 6, 1, 0], [2.1, 8, 0, 1], [5.95, 2, 1, 0], [1.65, 5, 0, 0]])
    block = blocks.block(values, np.ones(4))
    assert (block.number_columns, block.category_columns) == ((0, 1), (2, 3))
    assert block.categories.tolist() == [[0, 0], [0, 1], [1, 0]]
    assert block.codes.tolist() == [2, 1, 2, 0]


def test_partial_sums_are_added_in_the_order_of_the_blocks():
    rows = blocks.InMemory((1.0, 1e16, -1e16))
    assert rows.sum(lambda part: np.array([part])).tolist() == [0.0]
    assert rows.map(lambda part: -part).blocks == (-1.0, -1e16, 1e16)
