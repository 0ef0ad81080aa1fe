"""Charts, by what is in their axes."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from retail_clusters.clustering.blocks import Labels
from retail_clusters.clustering.stability import Stability
from retail_clusters.features.rows import WeightedRows
from retail_clusters.question import Feature, Question
from retail_clusters.report import charts, plots, profile
from retail_clusters.report.stability_report import StabilityReport
from tests.report.records import numbers, weighted

TRIALS = pd.DataFrame(
    [
        (2, 0, 0.99, 1.0, 500.0, False),
        (3, 0, 0.40, 0.7, 90.0, True),
        (3, 1, 0.50, 0.6, 80.0, True),
        (4, 0, 0.45, 0.5, 40.0, True),
    ],
    columns=["k", "seed", "validation_silhouette", "largest_cluster_share", "train_cost", "usable"],
)
CHOSEN = (3, 1)


QUESTION = Question(
    features={
        "visits": Feature(sql="Quantity"),
        "price": Feature(sql="UnitPrice", scale=("log",)),
        "weekday": Feature(sql="date_format(InvoiceDate, 'EEEE')", encode="onehot"),
    }
)


def clustering() -> tuple[WeightedRows, Labels, pd.DataFrame, Question]:
    records = [
        {"visits": 1.0, "price": 1.0, "weekday": "Monday", "n": 6},
        {"visits": 5.0, "price": 1.0, "weekday": "Friday", "n": 2},
        {"visits": 2.0, "price": 50.5, "weekday": "Friday", "n": 2},
    ]
    rows = weighted(QUESTION, records)
    labels = (rows.numbers("price") > 10).astype(np.intp)
    return rows, labels, profile.profile(rows, labels, QUESTION), QUESTION


def one_a_cluster(question: Question, *values: object) -> tuple[WeightedRows, Labels, pd.DataFrame, Question]:
    """Make a clustering of records of one feature, each a cluster."""
    rows = weighted(question, [dict.fromkeys(question.features, value) for value in values])
    labels = np.arange(len(rows))
    return rows, labels, profile.profile(rows, labels, question), question


def points(axes: Axes, marker: str) -> list[tuple[float, float]]:
    """Return where a chart has a mark of this kind."""
    lines = [line for line in axes.lines if line.get_marker() == marker]
    return [tuple(point) for line in lines for point in zip(line.get_xdata(), line.get_ydata(), strict=True)]


def test_axis_of_silhouettes_is_that_of_the_usable_trials_and_others_stand_at_its_edge():
    (upper,) = charts.choice_chart(TRIALS, chosen=CHOSEN, guardrail=0.8, noun="line").axes
    low, high = upper.get_ylim()
    assert low < 0.40
    assert 0.50 < high < 0.6
    others = next(each for each in upper.collections if each.get_label() == "not usable")
    assert others.get_offsets().tolist() == [[2, high]]


def test_chosen_trial_is_marked():
    (axes,) = charts.choice_chart(TRIALS, chosen=CHOSEN, guardrail=0.8, noun="customer").axes
    assert points(axes, "*") == [(3, 0.50)]
    assert "validation customers" in axes.get_ylabel()


def test_sweep_without_a_usable_trial_is_drawn_all_the_same():
    none = TRIALS.assign(usable=False)
    assert charts.choice_chart(none, chosen=None, guardrail=0.8, noun="line").axes[0].get_ylim()[1] > 0.99


def test_every_row_is_drawn_in_the_colour_of_its_cluster():
    first, second = charts.pairs_chart(*clustering()).axes
    for axes in (first, second):
        dots = {str(each.get_label()): each for each in axes.collections}
        assert sum(len(each.get_offsets()) for each in dots.values()) == 3
        largest = next(each for label, each in dots.items() if label.startswith("0 "))
        assert to_hex(largest.get_facecolor()[0]) == plots.BLUE.lower()


def test_large_cluster_is_drawn_in_part_and_a_small_one_whole():
    question = numbers("visits", "price")
    rows = weighted(question, [{"visits": float(at), "price": 1.0} for at in range(12_000)])
    labels = np.repeat([0, 1], [11_990, 10])
    (axes,) = charts.pairs_chart(rows, labels, profile.profile(rows, labels, question), question).axes
    assert [len(each.get_offsets()) for each in axes.collections] == [3_997, 10]


def test_number_that_separates_the_clusters_most_is_drawn_against_the_others_each_on_its_scale():
    first, second = charts.pairs_chart(*clustering()).axes
    assert [(axes.get_xlabel(), axes.get_ylabel()) for axes in (first, second)] == [
        ("price", "visits"),
        ("price", "weekday"),
    ]
    assert (first.get_xscale(), first.get_yscale()) == ("symlog", "linear")
    assert [text.get_text() for text in second.get_yticklabels()] == ["Monday", "Friday", "others"]


def test_single_feature_is_drawn_cluster_by_cluster():
    question = Question(features={"hour": Feature(sql="hour(InvoiceDate)", encode="onehot")})
    for feature, drawn in (
        ("price", one_a_cluster(numbers("price"), 1.0, 2.0)),
        ("hour", one_a_cluster(question, "9", "10")),
    ):
        (axes,) = charts.pairs_chart(*drawn).axes
        assert (axes.get_xlabel(), axes.get_ylabel()) == (feature, "cluster")


def test_heat_map_holds_medians_and_shares_of_the_values_of_a_category():
    left, right = charts.centres_chart(*clustering()).axes
    assert [text.get_text() for text in left.texts] == ["1", "1.00", "2", "50.50"]
    assert [text.get_text() for text in right.texts] == ["75%", "25%", "0%", "100%"]
    assert [text.get_text() for text in right.get_xticklabels()] == ["Monday", "Friday"]


def test_values_beyond_the_most_frequent_are_drawn_as_one_whole_numbers_in_their_order():
    question = Question(features={"hour": Feature(sql="hour(InvoiceDate)", encode="onehot")})
    rows = weighted(question, [{"hour": str(hour), "n": 30 - hour} for hour in range(7, 19)])
    labels = np.zeros(len(rows), dtype=np.intp)
    (axes,) = charts.centres_chart(rows, labels, profile.profile(rows, labels, question), question).axes
    shown = [text.get_text() for text in axes.get_xticklabels()]
    assert shown == ["7", "8", "9", "10", "11", "12", "13", "14", "others"]


def test_silhouettes_are_drawn_as_the_quantiles_of_a_clusters_records():
    labels, silhouettes, weights = np.array([0, 0, 1]), np.array([0.2, 0.8, 0.5]), np.array([1.0, 9.0, 1.0])
    names = {0: "0  a", 1: "1  b", 2: "2  without records"}
    (axes,) = charts.silhouettes_chart(labels, silhouettes, weights, names=names, mean=0.7, noun="line").axes
    assert points(axes, "o") == [(0.8, 0), (0.5, 1)]


def test_curve_of_stability_crosses_the_bar_at_the_share_of_stable_records():
    real = Stability(jaccards=(0.9, 0.6), sizes=(30, 70), stable_jaccard=0.75)
    permuted = Stability(jaccards=(1.0, 0.8), sizes=(50, 50), stable_jaccard=0.75)
    (axes,) = charts.stability_chart(StabilityReport(real, permuted, "customer")).axes
    shares, jaccards = (np.array(axes.lines[0].get_data()[at]) for at in (0, 1))
    assert shares[jaccards >= 0.75].max() == real.stable_line_share
    assert list(axes.lines[1].get_ydata()) == [1.0, 1.0, 0.8]
    assert axes.get_xlabel() == "share of the training customers, the most stable clusters first"
