"""A clustering as a few rules that people can read: a small decision tree, and how often it agrees with the model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retail_clusters.clustering.blocks import Floats, Labels
from retail_clusters.features import sql
from retail_clusters.features.pipeline import FeatureSpace
from retail_clusters.features.rows import WeightedRows
from retail_clusters.registry import tracking
from retail_clusters.wording import percent, plural

#: A tree is so deep at most, has so many leaves a cluster, and each holds so large a share of the training records.
_DEPTH: Final = 5
_LEAVES: Final = 2
_LEAST: Final = 0.005
#: Digits of a bound that people read.
_DIGITS: Final = 3

#: Files of a run.
SQL: Final = "rules.sql"
_JSON: Final = "rules.json"

Values: TypeAlias = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Condition:
    """A bound of a number (`>` or `<=`), or a value that a category has or has not (`=` or `<>`)."""

    feature: str
    sign: str
    value: float | str

    def __str__(self) -> str:
        """Say it as a person reads it."""
        value = self.value if isinstance(self.value, str) else f"{self.value:,.12g}"
        return f"{self.feature} {({'<=': '≤', '<>': '≠'}).get(self.sign, self.sign)} {value}"

    @property
    def sql(self) -> str:
        """Return it as SQL."""
        value = sql.quoted(self.value) if isinstance(self.value, str) else f"{self.value:.12g}"
        return f"{self.feature} {self.sign} {value}"

    def holds(self, values: Values) -> NDArray[np.bool_]:
        """Tell for which of n records it holds."""
        column = values[self.feature]
        if isinstance(self.value, str):
            return np.asarray((column == self.value) == (self.sign == "="), dtype=bool)
        return np.asarray(column <= self.value if self.sign == "<=" else column > self.value, dtype=bool)


@dataclass(frozen=True)
class Rule:
    """Conditions that all hold, and the number of the cluster then.

    Attributes:
        share: of the training records, those that it holds for.
        agreeing: of these, the share that the model puts into the same cluster.
    """

    cluster: int
    conditions: tuple[Condition, ...]
    share: float
    agreeing: float


@dataclass(frozen=True)
class Rules:
    """Rules of which exactly one holds for each record, largest first, and how often they agree with the model.

    Attributes:
        fidelity: share of the test records that they put where the model does.
    """

    rules: tuple[Rule, ...]
    fidelity: float

    def sentence(self, noun: str) -> str:
        """Say in a sentence how good they are."""
        count = "one rule puts" if len(self.rules) == 1 else f"{len(self.rules)} rules put"
        return f"{count} {percent(self.fidelity)} of the test {plural(noun)} where the model does"

    def lines(self, names: Mapping[int, str], noun: str) -> list[str]:
        """Say each rule in a line."""
        return [
            f"{rule.cluster} {names.get(rule.cluster, '')}: {' and '.join(map(str, rule.conditions)) or 'always'} "
            f"({percent(rule.share)} of the training {plural(noun)}, right for {percent(rule.agreeing)} of them)"
            for rule in self.rules
        ]

    def to_sql(self, names: Mapping[int, str], noun: str) -> str:
        """Return them as one CASE expression over the columns that `segments` has, of type double and string."""
        cases = [
            f"  WHEN {' AND '.join(condition.sql for condition in rule.conditions) or 'true'} "
            f"THEN {rule.cluster} -- {names.get(rule.cluster, '')}"
            for rule in self.rules
        ]
        return "\n".join([f"-- {self.sentence(noun)}", "CASE", *cases, "END", ""])

    def apply(self, values: Values) -> NDArray[np.int64]:
        """Return the number of the cluster of n records, whose features are arrays by name."""
        every = np.ones(len(next(iter(values.values()))), dtype=bool)
        holding = [
            np.logical_and.reduce([every, *(condition.holds(values) for condition in rule.conditions)])
            for rule in self.rules
        ]
        return np.select(holding, [rule.cluster for rule in self.rules], -1)

    def renumbered(self, numbers: Mapping[int, int]) -> "Rules":
        """Return the clusters other numbers: old to new."""
        changed = (replace(rule, cluster=numbers.get(rule.cluster, rule.cluster)) for rule in self.rules)
        return Rules(tuple(changed), self.fidelity)

    def to_json(self) -> str:
        """Write them as one JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Rules":
        """Read what `to_json` wrote."""
        found = json.loads(text)
        rules = [
            replace(Rule(**rule), conditions=tuple(Condition(**each) for each in rule["conditions"]))
            for rule in found["rules"]
        ]
        return cls(tuple(rules), found["fidelity"])


def fit_rules(
    train: WeightedRows, labels: Labels, space: FeatureSpace, *, test: WeightedRows, test_labels: Labels
) -> Rules:
    """Fit a tree on training records with n labels, round its bounds, and measure it on test records.

    Each leaf has the cluster that most of its training records are in, once its bounds are rounded.
    """
    from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415 - takes a second to import

    values = values_of(train, space)
    columns = _columns(values, space)
    clusters = np.unique(labels)
    tree = DecisionTreeClassifier(
        max_depth=_DEPTH,
        max_leaf_nodes=max(2, _LEAVES * len(clusters)),
        min_weight_fraction_leaf=_LEAST,
        random_state=0,
    )
    tree.fit(np.stack([matrix for _, matrix in columns]).T, labels, sample_weight=train.weights)
    leaves = _leaves(tree.tree_, columns, values, 0, ())
    rules = _with_clusters(leaves, values, labels, train.weights)
    found = Rules(rules, 0.0)
    agreeing = found.apply(values_of(test, space)) == test_labels
    return replace(found, fidelity=float(test.weights[agreeing].sum() / test.weights.sum()))


def log_rules(rules: Rules, names: Mapping[int, str], noun: str) -> None:
    """Log rules on the open run: as SQL for people, as JSON for a report."""
    tracking.log_files({SQL: rules.to_sql(names, noun).encode(), _JSON: rules.to_json().encode()})


def read_rules(run_id: str) -> Rules | None:
    """Read the rules of a training run; None where it has none, as those of earlier releases."""
    held = tracking.read_files(run_id, [_JSON])
    return Rules.from_json(held[_JSON].decode()) if held else None


def values_of(rows: WeightedRows, space: FeatureSpace) -> Values:
    """Return the features of weighted rows before scaling: doubles and texts."""
    categories = {name: np.array(rows.texts(name), dtype=object) for name in space.question.categories}
    return {name: rows.numbers(name) for name in space.question.numbers} | categories


def _columns(values: Values, space: FeatureSpace) -> list[tuple[Condition, Floats]]:
    """Return what a tree can ask: numbers, and of a category whether it has each of its values."""
    asked: list[tuple[Condition, Floats]] = []
    for name in space.question.features:
        if name in space.question.categories:
            each = [Condition(name, "=", value) for value in space.fitted[name].categories]
            asked += [(condition, condition.holds(values).astype(np.float64)) for condition in each]
        else:
            asked.append((Condition(name, "<=", 0.0), values[name]))
    return asked


def _leaves(
    tree: Any,
    columns: Sequence[tuple[Condition, Floats]],
    values: Values,
    node: int,
    path: tuple[Condition, ...],
) -> list[tuple[Condition, ...]]:
    """Return the conditions of each leaf below a node."""
    left, right = tree.children_left[node], tree.children_right[node]
    if len(_classes(tree, node)) == 1:
        return [path]
    asked, column = columns[tree.feature[node]]
    if isinstance(asked.value, str):
        below, above = replace(asked, sign="<>"), asked
    else:
        bound = readable(tree.threshold[node], column)
        below, above = (Condition(asked.feature, sign, bound) for sign in ("<=", ">"))
    return [
        *_leaves(tree, columns, values, left, _tightened(path, below)),
        *_leaves(tree, columns, values, right, _tightened(path, above)),
    ]


def _classes(tree: Any, node: int) -> set[int]:
    """Return the classes of the leaves below a node: where there is one, the node is as good as a leaf."""
    if tree.children_left[node] < 0:
        return {int(tree.value[node].argmax())}
    return _classes(tree, tree.children_left[node]) | _classes(tree, tree.children_right[node])


def _tightened(path: tuple[Condition, ...], more: Condition) -> tuple[Condition, ...]:
    """Add a condition; it takes the place of a wider bound, and a value that is had of others that are not."""
    replaced = {more.sign} if more.sign in {"<=", ">"} else {"<>"} if more.sign == "=" else set()
    kept = [each for each in path if each.feature != more.feature or each.sign not in replaced]
    return (*kept, more)


def _with_clusters(
    leaves: Sequence[tuple[Condition, ...]], values: Values, labels: Labels, weights: Floats
) -> tuple[Rule, ...]:
    """Give each leaf that has records the cluster of most of them, largest leaf first."""
    rules = []
    for conditions in leaves:
        inside = np.logical_and.reduce(
            [np.ones(len(labels), dtype=bool), *(c.holds(values) for c in conditions)]
        )
        records = np.bincount(labels[inside], weights[inside]) if inside.any() else np.zeros(1)
        if records.any():
            cluster, total = int(records.argmax()), records.sum()
            rules.append(
                Rule(cluster, conditions, float(total / weights.sum()), float(records[cluster] / total))
            )
    return tuple(sorted(rules, key=lambda rule: -rule.share))


def readable(bound: float, values: Floats) -> float:
    """Round a bound to the fewest digits that leave the same values below it, to three where that takes more.

    >>> readable(30.5, np.array([30.0, 31.0])), readable(1006.0, np.array([1003.2, 1010.5]))
    (30.0, 1010.0)
    """
    below, above = values[values <= bound].max(initial=-np.inf), values[values > bound].min(initial=np.inf)
    for digits in range(1, _DIGITS + 1):
        for candidate in (float(f"{bound:.{digits}g}"), float(f"{below:.{digits}g}")):
            if below <= candidate < above:
                return candidate
    return float(f"{bound:.{_DIGITS}g}")
