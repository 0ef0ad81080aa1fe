"""What the clusters are: sizes, money, typical prices and quantities, and a short name for each."""

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from retail_clusters import schema

_QUANTILES = {"p05": 0.05, "median": 0.5, "p95": 0.95}


def profile(assigned: DataFrame) -> pd.DataFrame:
    """Describe each populated cluster of weighted rows with `prediction`: a table, largest cluster first.

    Columns: `cluster`, `name`, `lines`, `share`, `spend` (sum of price times quantity, in the currency of
    UnitPrice), the 5 %, 50 % and 95 % quantiles over lines of price and quantity (`price_p05`, ...),
    `cancellation_share` and `top_weekday`.
    """
    line_value = F.col(schema.UNIT_PRICE).cast("decimal(18,4)") * F.col(schema.QUANTITY)
    lines = F.sum(schema.WEIGHT)
    table = (
        assigned.groupBy(F.col(schema.PREDICTION).alias("cluster"))
        .agg(
            lines.alias("lines"),
            F.sum(line_value * F.col(schema.WEIGHT)).cast("double").alias("spend"),
            *_quantiles("price", schema.UNIT_PRICE),
            *_quantiles("quantity", schema.QUANTITY),
            (F.sum(schema.CANCELLATIONS) / lines).alias("cancellation_share"),
        )
        .join(_top_weekdays(assigned), "cluster")
        .toPandas()
        .sort_values(["lines", "cluster"], ascending=[False, True], ignore_index=True)
    )
    table.insert(2, "share", table["lines"] / table["lines"].sum())
    table.insert(1, "name", _names(table))
    return table


def to_markdown(table: pd.DataFrame, *, rows: int = 25) -> str:
    """Write the largest clusters of a profile as a Markdown table."""
    lines = [
        "| cluster | name | lines | share | spend | price 5 / 50 / 95 % | quantity 5 / 50 / 95 % "
        "| cancelled | top day |",
        "|---:|---|---:|---:|---:|---|---|---:|---|",
    ]
    for _, row in table.head(rows).iterrows():
        price = " / ".join(f"{row[f'price_{name}']:,.2f}" for name in _QUANTILES)
        quantity = " / ".join(f"{row[f'quantity_{name}']:,.0f}" for name in _QUANTILES)
        lines.append(
            f"| {row['cluster']} | {row['name']} | {row['lines']:,} | {row['share']:.1%} "
            f"| {row['spend']:,.2f} | {price} | {quantity} | {row['cancellation_share']:.1%} "
            f"| {row['top_weekday']} |"
        )
    if len(table) > rows:
        lines.append(f"\n{len(table) - rows} smaller clusters are in `profile.csv`.")
    return "\n".join(lines)


def _quantiles(prefix: str, column: str) -> list[Column]:
    weight = F.col(schema.WEIGHT)
    return [F.percentile(column, at, weight).alias(f"{prefix}_{name}") for name, at in _QUANTILES.items()]


def _top_weekdays(assigned: DataFrame) -> DataFrame:
    """Find each cluster's weekday with most lines, the first by name where two are level."""
    days = assigned.groupBy(F.col(schema.PREDICTION).alias("cluster"), schema.DAY_OF_WEEK).agg(
        F.sum(schema.WEIGHT).alias("lines")
    )
    top = F.min_by(schema.DAY_OF_WEEK, F.struct(-F.col("lines"), schema.DAY_OF_WEEK))
    return days.groupBy("cluster").agg(top.alias("top_weekday"))


def _names(table: pd.DataFrame) -> pd.Series:
    """Name each cluster after how its typical line compares with the typical line of all clusters."""
    price = _weighted_median(table["price_median"], table["lines"])
    quantity = _weighted_median(table["quantity_median"], table["lines"])
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


def _weighted_median(values: "pd.Series[float]", weights: "pd.Series[float]") -> float:
    order = values.sort_values().index
    reached = weights[order].cumsum() >= weights.sum() / 2
    return float(values[order][reached].iloc[0])
