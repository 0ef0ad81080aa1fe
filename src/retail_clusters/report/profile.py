"""What the clusters are: sizes, money, typical prices and quantities, and a short name for each."""

import math
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retail_clusters import schema
from retail_clusters.clustering.blocks import Floats, Labels
from retail_clusters.features.rows import WeightedRows
from retail_clusters.wording import percent

#: The numbers that a cluster is described by: how each is called, its column, and how many digits are shown.
FACTS: Final = {"price": (schema.UNIT_PRICE, 2), "quantity": (schema.QUANTITY, 0)}

_QUANTILES: Final = {"p05": 0.05, "median": 0.5, "p95": 0.95}


def profile(rows: WeightedRows, labels: Labels) -> pd.DataFrame:
    """Describe each populated cluster of n weighted rows with n labels: a table, largest cluster first.

    Columns: `cluster`, `name`, `lines`, `share`, `spend` (sum of price times quantity, in the currency of
    UnitPrice), the 5 %, 50 % and 95 % quantiles over lines of each of `FACTS` (`price_p05`, ...),
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
    aligned = ["---" if name == "name" or name.endswith(("%", "day")) else "---:" for name in shown.columns]
    lines = [f"| {' | '.join(shown.columns)} |", f"|{'|'.join(aligned)}|"]
    lines += [f"| {' | '.join(row)} |" for row in shown.itertuples(index=False, name=None)]
    if len(table) > rows:
        lines.append(f"\n{len(table) - rows} smaller clusters are in `profile.csv`.")
    return "\n".join(lines)


def texts(table: pd.DataFrame) -> pd.DataFrame:
    """Write a profile as a person reads it, in columns with a person's names.

    The profile of an earlier version may lack a fact that is new since.
    """
    facts = {name: digits for name, (_, digits) in FACTS.items() if f"{name}_median" in table}
    return pd.DataFrame(
        [
            {
                "cluster": str(row["cluster"]),
                "name": row["name"],
                "lines": f"{row['lines']:,}",
                "share": percent(row["share"]),
                "spend": f"{row['spend']:,.2f}",
                **{
                    f"{name} 5 / 50 / 95 %": " / ".join(
                        f"{row[f'{name}_{at}']:,.{digits}f}" for at in _QUANTILES
                    )
                    for name, digits in facts.items()
                },
                "cancelled": percent(row["cancellation_share"]),
                "top day": row["top_weekday"],
            }
            for _, row in table.iterrows()
        ]
    )


def _describe(cluster: int, rows: WeightedRows, members: NDArray[np.bool_]) -> dict[str, Any]:
    prices, quantities, weights = (column[members] for column in (rows.prices, rows.quantities, rows.weights))
    lines = weights.sum()
    days = np.bincount(rows.weekdays[members], weights, len(schema.WEEKDAYS))
    return {
        "cluster": cluster,
        "lines": int(lines),
        "spend": math.fsum((prices * quantities * weights).tolist()),
        **{
            name: value
            for fact, (column, _) in FACTS.items()
            for name, value in _quantiles(fact, rows.numbers(column)[members], weights).items()
        },
        "cancellation_share": rows.numbers(schema.CANCELLATIONS)[members].sum() / lines,
        "top_weekday": min(zip(-days, schema.WEEKDAYS, strict=True))[1],
    }


def _quantiles(prefix: str, values: Floats, weights: Floats) -> dict[str, float]:
    """Return quantiles over lines, each a value that occurs."""
    found = np.quantile(values, list(_QUANTILES.values()), weights=weights, method="inverted_cdf")
    return {f"{prefix}_{name}": float(value) for name, value in zip(_QUANTILES, found, strict=True)}


def _names(table: pd.DataFrame) -> pd.Series:
    """Name each cluster after how its typical line compares with the typical line of all clusters."""
    price = _median(table["price_median"], table["lines"])
    quantity = _median(table["quantity_median"], table["lines"])
    return table.apply(lambda row: _name(row, price=price, quantity=quantity), axis=1)


def _name(row: "pd.Series[float]", *, price: float, quantity: float) -> str:
    return f"{_order_kind(row, quantity)}, {_price_kind(row['price_median'], price)}"


def _order_kind(row: "pd.Series[float]", typical: float) -> str:
    if row["cancellation_share"] > 0.5:
        return "cancelled bulk orders" if row["quantity_median"] <= -10 * typical else "cancellations"
    if row["quantity_median"] < 0:
        return "write-offs"
    ratio = row["quantity_median"] / max(typical, 1.0)
    kinds = [(0.5, "single items"), (3.0, "usual orders"), (20.0, "large orders"), (200.0, "bulk orders")]
    return next((kind for bound, kind in kinds if ratio < bound), "enormous orders")


def _price_kind(price: float, typical: float) -> str:
    if price <= 0:
        return "no charge" if price == 0 else "credit"
    ratio = price / max(typical, 0.01)
    kinds = [(0.5, "low price"), (2.0, "usual price"), (10.0, "high price"), (100.0, "very high price")]
    return next((kind for bound, kind in kinds if ratio < bound), "fees and adjustments")


def _median(values: "pd.Series[float]", lines: "pd.Series[int]") -> float:
    return float(np.quantile(values, 0.5, weights=lines, method="inverted_cdf"))
