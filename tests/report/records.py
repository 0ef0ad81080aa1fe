"""Records of questions of a few features, as weighted rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from retail_clusters.features.rows import CELL, COUNT, RECORDS, SUM, WeightedRows, weighted_rows
from retail_clusters.question import Description, Feature, Question, Unit

CUSTOMERS = Question(
    unit=Unit(by=("CustomerID",), days=180),
    clean={"no_customer": "CustomerID IS NULL"},
    features={
        "recency": Feature(sql="datediff(as_of, max(InvoiceDate))"),
        "spend": Feature(sql="sum(cost)", clip=(0.001, 0.999), scale=("log", "standard")),
        "channel": Feature(sql="max(Country)", encode="onehot", top=2),
    },
    describe={"cancelled": Description(sql="avg(0)"), "country": Description(sql="max(Country)")},
)
#: A profile as a release before declared features has written it.
EARLIER = pd.DataFrame(
    [(0, "usual orders", 1200, 1.0, 99.5, 0.5, 2.0, 3.25, 0.25, "Monday")],
    columns=[
        *("cluster", "name", "lines", "share", "spend", "price_p05", "price_median", "price_p95"),
        *("cancellation_share", "top_weekday"),
    ],
)


def numbers(*names: str, scale: str = "none") -> Question:
    """Return a question about lines with some numbers as features, and nothing else."""
    return Question(features={name: Feature(sql="UnitPrice", scale=(scale,)) for name in names})


def weighted(question: Question, records: Sequence[Mapping[str, Any]]) -> WeightedRows:
    """Make weighted rows of records: each its features, what describes it, and how often it is there (`n`)."""
    cells = []
    for at, record in enumerate(records):
        often, cell = record.get("n", 1), {name: record[name] for name in question.features}
        for name in question.describe.keys() & record.keys():
            value = record[name]
            is_number = isinstance(value, int | float)
            cell |= (
                {f"{SUM}{name}": float(value * often), f"{COUNT}{name}": often}
                if is_number
                else {name: value}
            )
        cells.append(cell | {CELL: at % 20, RECORDS: often})
    return weighted_rows(pa.Table.from_pandas(pd.DataFrame(cells)), list(question.features))
