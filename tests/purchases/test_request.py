from dataclasses import replace
from pathlib import Path

import pytest

from retail_clusters.errors import InputError
from retail_clusters.purchases.request import PurchasesRequest, check
from tests.purchases.shop import MISNAMED, write

BATCH = PurchasesRequest(data="data")
STREAM = replace(BATCH, mode="stream")


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (replace(BATCH, top=0), "top must be at least 1, but got 0"),
        (replace(STREAM, data="nowhere"), "found no such path: nowhere"),
    ],
)
def test_what_cannot_be_done_is_refused_before_spark_starts(
    workplace: Path, request_: PurchasesRequest, told: str
):
    with pytest.raises(InputError, match=told):
        check(request_)


@pytest.mark.parametrize("request_", [BATCH, STREAM])
def test_another_header_is_refused(workplace: Path, request_: PurchasesRequest):
    write("a.csv", ("1.0", 1, "2", 2), header=MISNAMED)
    with pytest.raises(InputError, match="no column UnitPrice"):
        check(request_)


def test_each_mode_has_a_default_output_of_its_own():
    assert (BATCH.place, STREAM.place) == ("output/purchases/batch", "output/purchases/live")
    assert replace(STREAM, output="there").place == "there"
