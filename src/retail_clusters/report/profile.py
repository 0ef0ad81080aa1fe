"""What the clusters are: sizes, money, typical prices and quantities, and a short name for each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retail_clusters import schema
from retail_clusters.clustering.blocks import Floats, Labels
from retail_clusters.features.rows import WeightedRows
from retail_clusters.infra import markdown
from retail_clusters.wording import percent


@dataclass(frozen=True)
class Number:
    """A number that clusters are described by: its name, its column, the digits that are shown, its unit."""

    name: str
    column: str
    digits: int
    unit: str


PRICE: Final = Number("price", schema.UNIT_PRICE, 2, "per piece")
QUANTITY: Final = Number("quantity", schema.QUANTITY, 0, "pieces")
NUMBERS: Final = (PRICE, QUANTITY)

_QUANTILES: Final = {"p05": 0.05, "median": 0.5, "p95": 0.95}
#: The names of clusters compare with the typical line: the word below so many times its quantity or price.
_QUANTITIES: Final = {
    0.5: "single items", 3.0: "usual orders", 20.0: "large orders", 200.0: "bulk orders",
    math.inf: "enormous orders",
}  # fmt: skip
_PRICES: Final = {
    0.5: "low price", 2.0: "usual price", 10.0: "high price", 100.0: "very high price",
    math.inf: "fees and adjustments",
}  # fmt: skip


def profile(rows: WeightedRows, labels: Labels) -> pd.DataFrame:
    """Describe each populated cluster of n weighted rows with n labels: a table, largest cluster first.

    Columns: `cluster`, `name`, `lines`, `share`, `spend` (sum of price times quantity, in the currency of
    UnitPrice), the 5 %, 50 % and 95 % quantiles over lines of each of `NUMBERS` (`price_p05`, ...),
    `cancellation_share` and `top_weekday`.
    """
    described = [_describe(int(cluster), rows, labels == cluster) for cluster in np.unique(labels)]
    table = pd.DataFrame(described).sort_values(
        ["lines", "cluster"], ascending=[False, True], ignore_index=True
    )
    table.insert(2, "share", table["lines"] / table["lines"].sum())
    table.insert(1, "name", _names(table))
    return table


def to_markdown(table: pd.DataFrame, *, rows: int = 25) -> str:
    """Write the largest clusters of a profile as a Markdown table."""
    shown = texts(table.head(rows))
    written = markdown.table([*map(str, shown)], shown.to_numpy().tolist(), numbers_from=2)
    more = f"\n\n{len(table) - rows} smaller clusters are in `profile.csv`." if len(table) > rows else ""
    return written + more


def texts(table: pd.DataFrame) -> pd.DataFrame:
    """Write a profile as a person reads it; that of an earlier version may lack a number that is new since."""
    numbers = [number for number in NUMBERS if f"{number.name}_median" in table]
    return pd.DataFrame(
        [
            {
                "cluster": str(row["cluster"]),
                "name": row["name"],
                "lines": f"{row['lines']:,}",
                "share": percent(row["share"]),
                "spend": f"{row['spend']:,.2f}",
                **{
                    f"{number.name} 5 / 50 / 95 %": " / ".join(
                        f"{row[f'{number.name}_{at}']:,.{number.digits}f}" for at in _QUANTILES
                    )
                    for number in numbers
                },
                "cancelled": percent(row["cancellation_share"]),
                "top day": row["top_weekday"],
            }
            for _, row in table.iterrows()
        ]
    )


def _describe(cluster: int, rows: WeightedRows, members: NDArray[np.bool_]) -> dict[str, Any]:
    prices, quantities, weights = (column[members] for column in (rows.prices, rows.quantities, rows.weights))
    days = np.bincount(rows.weekdays[members], weights, len(schema.WEEKDAYS))
    return {
        "cluster": cluster,
        "lines": int(weights.sum()),
        "spend": math.fsum((prices * quantities * weights).tolist()),
        **{
            f"{number.name}_{at}": value
            for number in NUMBERS
            for at, value in _quantiles(rows.numbers(number.column)[members], weights).items()
        },
        "cancellation_share": rows.numbers(schema.CANCELLATIONS)[members].sum() / weights.sum(),
        "top_weekday": min(zip(-days, schema.WEEKDAYS, strict=True))[1],
    }


def _quantiles(values: Floats, weights: Floats) -> dict[str, float]:
    """Return quantiles over lines, each a value that occurs."""
    found = np.quantile(values, list(_QUANTILES.values()), weights=weights, method="inverted_cdf")
    return dict(zip(_QUANTILES, found.tolist(), strict=True))


def _names(table: pd.DataFrame) -> list[str]:
    """Name each cluster after how its typical line compares with the typical line of all clusters."""
    lines = table["lines"].to_numpy(float)
    price, quantity = (
        _quantiles(table[f"{number.name}_median"].to_numpy(float), lines)["median"] for number in NUMBERS
    )
    return [
        f"{_order_kind(row, max(quantity, 1.0))}, {_price_kind(row['price_median'], max(price, 0.01))}"
        for _, row in table.iterrows()
    ]


def _order_kind(row: "pd.Series[float]", typical: float) -> str:
    median = row["quantity_median"]
    if row["cancellation_share"] > 0.5:
        return "cancelled bulk orders" if median <= -10 * typical else "cancellations"
    return "write-offs" if median < 0 else _word(median / typical, _QUANTITIES)


def _price_kind(price: float, typical: float) -> str:
    if price <= 0:
        return "no charge" if price == 0 else "credit"
    return _word(price / typical, _PRICES)


def _word(ratio: float, words: Mapping[float, str]) -> str:
    return next(word for bound, word in words.items() if ratio < bound)
