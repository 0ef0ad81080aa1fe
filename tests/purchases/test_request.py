from dataclasses import replace
from pathlib import Path

import pytest

from retail_clusters.errors import InputError
from retail_clusters.purchases.request import OUTPUTS, PurchasesRequest, check
from tests.purchases.shop import SWAPPED, write

BATCH = PurchasesRequest(data="data")
LIVE = replace(BATCH, mode="stream")
APPEND = replace(LIVE, sink="parquet")


@pytest.mark.parametrize(
    ("request_", "law"),
    [
        (replace(BATCH, top=0), "top must be at least 1, but got 0"),
        (replace(BATCH, sink="parquet"), "sink=parquet goes with mode=stream"),
        (replace(LIVE, checkpoint="c"), "checkpoint goes with sink=parquet"),
        (replace(LIVE, once=False), "once=false goes with sink=parquet"),
        (replace(LIVE, prove="all"), "prove=all goes with sink=parquet"),
        (replace(APPEND, prove="all", once=False), "prove=all goes with once=true"),
        (replace(APPEND, sql="SELECT 1"), "sql asks the table customer_purchases"),
        (replace(BATCH, data="nowhere"), "found no such path: nowhere"),
        (replace(APPEND, data="nowhere", once=False), "found no such path: nowhere"),
    ],
)
def test_check_refuses_before_spark_starts(workplace: Path, request_: PurchasesRequest, law: str):
    with pytest.raises(InputError, match=law):
        check(request_)


def test_check_refuses_another_header_but_for_the_stream_that_quarantines_it(workplace: Path):
    write("a.csv", ("1.0", 1, "2", 2), header=SWAPPED)

    for request in (BATCH, LIVE):
        with pytest.raises(InputError, match="another order"):
            check(request)
    check(APPEND)


def test_check_refuses_a_link_to_a_folder_above_where_a_stream_would_follow_it(workplace: Path):
    """Defect 61: lines of the files below it counted forty times more."""
    write("a.csv", ("1.0", 1, "2", 2))
    Path("data/deep").mkdir()
    Path("elsewhere").mkdir()
    Path("data/deep/other").symlink_to(Path("elsewhere").absolute())
    check(LIVE)
    Path("data/deep/loop").symlink_to(Path("data").absolute())

    with pytest.raises(InputError, match="data/deep/loop is a link to a folder that it stands in"):
        check(LIVE)
    check(BATCH)
    check(APPEND)


def test_check_lets_an_endless_stream_wait_in_an_empty_folder(workplace: Path):
    Path("data").mkdir()

    check(replace(APPEND, once=False))


def test_each_way_of_summing_up_has_a_default_output_of_its_own():
    places = {request.place for request in (BATCH, LIVE, APPEND)}

    assert places == set(OUTPUTS.values())
    assert len(places) == 3
    assert replace(LIVE, output="there").place == "there"
