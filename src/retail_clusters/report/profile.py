"""What the clusters are: sizes, typical values of each feature, what describes them, and a short name for each."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from retail_clusters.clustering.blocks import Floats, Labels
from retail_clusters.features.rows import COUNT, RECORDS, SUM, WeightedRows
from retail_clusters.infra import markdown
from retail_clusters.question import Question
from retail_clusters.wording import percent, plural

#: Quantiles of a number over the records of a cluster.
_QUANTILES: Final = {"p05": 0.05, "median": 0.5, "p95": 0.95}
#: A name tells so many features: a number whose median stands so far from the middle of all records, or very far.
_NAMED, _FAR, _VERY_FAR = 3, 0.2, 0.4
#: It tells the value that so large a share of a cluster has, if that is so many times its share of all records.
_NAMED_SHARE, _NAMED_LIFT = 0.8, 1.5


def profile(rows: WeightedRows, labels: Labels, question: Question) -> pd.DataFrame:
    """Describe each populated cluster of n weighted rows with n labels: a table, largest cluster first.

    Columns: `cluster`, `name`, `records`, `share`; of each number the 5 %, 50 % and 95 % quantiles over records
    (`NAME_p05`, `NAME_median`, `NAME_p95`), of each category the most frequent value and its share (`NAME_top`,
    `NAME_top_share`). Of what describes records, the mean (`NAME_mean`, of a yes or no its share), or the most
    frequent text.
    """
    clusters, labels = np.unique(labels, return_inverse=True)
    records = np.bincount(labels, rows.weights)
    columns = {"cluster": clusters, "records": records.astype(np.int64), "share": records / records.sum()}
    for name, feature in question.features.items():
        if feature.is_category:
            columns |= _top(name, value_shares(rows.table[name], rows.weights, labels))
        else:
            spread = _spread(rows.numbers(name), rows.weights, labels)
            columns |= {f"{name}_{at}": values for at, values in spread.items()}
    for name in question.describe:
        columns |= _described(name, rows, labels[rows.of_cells])
    table = pd.DataFrame(columns)
    table.insert(1, "name", _names(table, rows, labels, question))
    return table.sort_values(["records", "cluster"], ascending=[False, True], ignore_index=True)


def named(table: pd.DataFrame, names: Mapping[int, str]) -> pd.DataFrame:
    """Give the clusters of a profile other names, by their numbers."""
    return table.assign(
        name=[names.get(number, name) for number, name in zip(table.cluster, table.name, strict=True)]
    )


def standing(values: Floats, weights: Floats) -> Floats:
    """Return where each value stands among all records, from 0 to 1: the share below it, and half of that at it."""
    _, at = np.unique(values, return_inverse=True)
    records = np.bincount(at, weights)
    return np.asarray(((np.cumsum(records) - records / 2) / records.sum())[at])


def typical_standing(rows: WeightedRows, labels: Labels, question: Question) -> pd.DataFrame:
    """Return where the median of each number stands among all records: a row a cluster, a column a number."""
    columns = {
        name: _spread(standing(rows.numbers(name), rows.weights), rows.weights, labels)["median"]
        for name in question.numbers
    }
    return pd.DataFrame(columns, index=np.unique(labels))


def value_shares(values: pa.ChunkedArray, weights: Floats, labels: Labels) -> "pd.Series[float]":
    """Return the share that each value has of the records of each cluster, by cluster and value."""
    texts = values.cast(pa.string()).fill_null("none").to_pandas().rename("value")
    counted = pd.Series(weights).groupby([pd.Series(labels, name="cluster"), texts]).sum()
    return counted / counted.groupby("cluster").transform("sum")


def to_markdown(table: pd.DataFrame, *, noun: str, rows: int = 25) -> str:
    """Write the largest clusters of a profile as a Markdown table."""
    shown = texts(table.head(rows), noun=noun)
    written = markdown.table([*map(str, shown)], shown.to_numpy().tolist(), numbers_from=2)
    more = f"\n\n{len(table) - rows} smaller clusters are in `profile.csv`." if len(table) > rows else ""
    return written + more


def texts(table: pd.DataFrame, *, noun: str) -> pd.DataFrame:
    """Write a profile as a person reads it, whatever columns it has: that of an earlier release has others."""
    shown: dict[str, list[str]] = {}
    for column in map(str, table):
        name, _, kind = column.rpartition("_")
        if kind == "median":
            three = table[[f"{name}_{at}" for at in _QUANTILES]].to_numpy(float)
            written = number_form(three)
            shown[f"{name} 5 / 50 / 95 %"] = [" / ".join(map(written, row)) for row in three]
        elif f"{column}_share" in table:
            pairs = zip(table[column], table[f"{column}_share"], strict=True)
            shown[f"{name}, most often"] = [f"{value} ({percent(share)})" for value, share in pairs]
        elif kind == "mean":
            is_share = bool(table[column].between(0, 1).all())
            shown[name if is_share else f"{name}, mean"] = _written(table[column], is_share)
        elif kind not in _QUANTILES and not column.endswith("_top_share"):
            head = plural(noun) if column == "records" else column
            shown[head] = _written(table[column], column.endswith("share"))
    return pd.DataFrame(shown).rename(columns=lambda head: head.replace("_", " "))


def number_form(values: Floats) -> Callable[[float], str]:
    """Return how numbers of a kind are written: whole ones without digits, small ones with three that count."""
    sizes = np.abs(values[np.isfinite(values)])
    form = "z,.0f" if not (sizes % 1).any() else "z,.2f" if sizes.max() >= 0.1 else ".3g"
    return lambda value: format(value, form) if math.isfinite(value) else ""


def _written(column: "pd.Series[Any]", is_share: bool) -> list[str]:
    if column.dtype.kind not in "iuf":
        return list(map(str, column))
    return list(map(percent if is_share else number_form(column.to_numpy(float)), column))


def _spread(values: Floats, weights: Floats, labels: Labels) -> dict[str, Floats]:
    """Return quantiles over the records of each cluster, each a value that occurs."""
    members = [labels == cluster for cluster in np.unique(labels)]
    at = list(_QUANTILES.values())
    found = [np.quantile(values[of], at, weights=weights[of], method="inverted_cdf") for of in members]
    return dict(zip(_QUANTILES, np.transpose(found), strict=True))


def _top(name: str, shares: "pd.Series[float]") -> dict[str, Any]:
    """Return the most frequent value of each cluster, the first by name of several, and its share."""
    first = shares.loc[shares.groupby("cluster").idxmax()]
    return {f"{name}_top": first.index.get_level_values("value"), f"{name}_top_share": first.to_numpy()}


def _described(name: str, rows: WeightedRows, labels: Labels) -> dict[str, Any]:
    """Return what a profile says of a description, with the cluster of each cell; none where rows have none."""
    if name in rows.cells.column_names:
        return _top(name, value_shares(rows.cells[name], rows.cell_numbers(RECORDS), labels))
    if SUM + name not in rows.cells.column_names:
        return {}
    total, count = (np.nan_to_num(rows.cell_numbers(part + name)) for part in (SUM, COUNT))
    with np.errstate(invalid="ignore"):
        return {f"{name}_mean": np.bincount(labels, total) / np.bincount(labels, count)}


def _names(table: pd.DataFrame, rows: WeightedRows, labels: Labels, question: Question) -> "pd.Series[str]":
    """Name each cluster after the features in which its records differ most from all of them."""
    stands = typical_standing(rows, labels, question)
    said: list[list[tuple[float, str]]] = [[] for _ in stands.index]
    for name, column in stands.items():
        for parts, stand, median in zip(said, column, table[f"{name}_median"], strict=True):
            if abs(stand - 0.5) > _FAR:
                parts.append((abs(stand - 0.5), f"{_word(stand, median)} {name}"))
    for name in question.categories:
        of_all = value_shares(rows.table[name], rows.weights, np.zeros_like(labels)).droplevel("cluster")
        for parts, value, share in zip(said, table[f"{name}_top"], table[f"{name}_top_share"], strict=True):
            if share >= max(_NAMED_SHARE, _NAMED_LIFT * of_all[value]):
                parts.append(((share - of_all[value]) / 2, f"{name} {value}"))
    most = [sorted(parts, key=lambda part: -part[0])[:_NAMED] for parts in said]
    names = [", ".join(words for _, words in parts) or f"typical {plural(question.noun)}" for parts in most]
    return _distinct(pd.Series(names), table, stands).str.replace("_", " ")


def _word(stand: float, median: float) -> str:
    if stand < 0.5 and median < 0:
        return "negative"
    return ("very " if abs(stand - 0.5) > _VERY_FAR else "") + ("low" if stand < 0.5 else "high")


def _distinct(names: "pd.Series[str]", table: pd.DataFrame, stands: pd.DataFrame) -> "pd.Series[str]":
    """Tell clusters of one name apart by the median in which they differ most, else by their numbers."""
    for _, same in stands.set_axis(names.index).groupby(names):
        if len(same) > 1 and len(same.columns):
            apart = (same.max() - same.min()).idxmax()
            medians = table[f"{apart}_median"]
            names[same.index] += f", {apart} " + medians.map(number_form(medians.to_numpy()))
    return names.where(~names.duplicated(keep=False), names + " (" + table["cluster"].astype(str) + ")")
