"""Charts, by what is in their axes."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from retail_clusters.clustering.blocks import Labels
from retail_clusters.clustering.stability import Stability
from retail_clusters.features.rows import WeightedRows
from retail_clusters.report import charts, plots, profile
from retail_clusters.report.stability_report import StabilityReport
from retail_clusters.report.sweep_page import sweep_page, trials_figure
from tests import examples

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


def clustering() -> tuple[WeightedRows, Labels, pd.DataFrame]:
    rows = examples.weighted((1.0, 1, "Monday", 6, 0), (1.0, 5, "Friday", 2, 0), (50.0, -2, "Friday", 2, 2))
    labels = (rows.prices > 10).astype(np.intp)
    return rows, labels, profile.profile(rows, labels)


def points(axes: Axes, marker: str) -> list[tuple[float, float]]:
    """Return where a chart has a mark of this kind."""
    lines = [line for line in axes.lines if line.get_marker() == marker]
    return [tuple(point) for line in lines for point in zip(line.get_xdata(), line.get_ydata(), strict=True)]


def test_axis_of_silhouettes_is_that_of_the_usable_trials_and_others_stand_at_its_edge():
    upper, _ = charts.choice_chart(TRIALS, chosen=CHOSEN, guardrail=0.8).axes
    low, high = upper.get_ylim()
    assert low < 0.40
    assert 0.50 < high < 0.6
    assert points(upper, "^") == [(2, high)]


def test_chosen_trial_and_guardrail_are_marked():
    upper, lower = charts.choice_chart(TRIALS, chosen=CHOSEN, guardrail=0.8).axes
    assert points(upper, "*") == [(3, 0.50)]
    assert points(lower, "*") == [(3, 0.6)]
    assert [0.8, 0.8] in [list(line.get_ydata()) for line in lower.lines]


def test_sweep_without_a_usable_trial_is_drawn_all_the_same():
    none = TRIALS.assign(usable=False)
    assert charts.choice_chart(none, chosen=None, guardrail=0.8).axes[0].get_ylim()[1] > 0.99
    assert trials_figure(none, chosen=None, guardrail=0.8).layout.yaxis.range[1] > 0.99


def test_page_of_a_sweep_shows_every_trial_in_the_range_of_the_usable():
    figure = trials_figure(TRIALS, chosen=CHOSEN, guardrail=0.8)
    assert sum(len(trace.x) for trace in figure.data if trace.yaxis == "y") == len(TRIALS)
    assert figure.layout.yaxis.range[1] < 0.6


def test_page_of_a_sweep_holds_its_script_and_takes_no_name_for_html():
    page = sweep_page("<b>", TRIALS, chosen=CHOSEN, guardrail=0.8)
    assert page.count("plotly.js v") == 1
    assert "<script src=" not in page
    assert "<b>" not in page[:200]


def test_bars_of_sizes_add_up_to_all_lines_however_many_clusters():
    table = pd.DataFrame(
        {"cluster": range(30), "name": ["a"] * 30, "lines": [10] * 30, "share": [1 / 30] * 30}
    )
    bars = charts.sizes_chart(table).axes[0].patches
    assert len(bars) == 21
    assert sum(bar.get_width() for bar in bars) == pytest.approx(1)


def test_every_row_is_drawn_in_the_colour_of_its_cluster_and_centres_at_the_means_of_lines():
    (axes,) = charts.price_quantity_chart(*clustering()).axes
    dots = {str(each.get_label()): each for each in axes.collections}
    assert sum(len(each.get_offsets()) for each in dots.values()) == 3
    first = next(each for label, each in dots.items() if label.startswith("0 "))
    assert to_hex(first.get_facecolor()[0]) == plots.BLUE.lower()
    assert {text.get_text(): text.xy for text in axes.texts} == {"0": (2.0, 1.0), "1": (-2.0, 50.0)}


def test_heat_map_of_centres_holds_means_and_shares_of_weekdays():
    left, right = charts.centres_chart(*clustering()).axes
    assert [text.get_text() for text in left.texts] == ["1.00", "2.0", "50.00", "-2.0"]
    assert [text.get_text() for text in right.texts] == ["75%", "25%", "0%", "100%"]


def test_silhouettes_are_drawn_as_the_quantiles_of_a_clusters_lines():
    labels, silhouettes, weights = np.array([0, 0, 1]), np.array([0.2, 0.8, 0.5]), np.array([1.0, 9.0, 1.0])
    names = {0: "0  a", 1: "1  b", 2: "2  without lines"}
    (axes,) = charts.silhouettes_chart(labels, silhouettes, weights, names=names, mean=0.7).axes
    assert points(axes, "o") == [(0.8, 0), (0.5, 1)]


def test_curve_of_stability_crosses_the_bar_at_the_share_of_stable_lines():
    real = Stability(jaccards=(0.9, 0.6), sizes=(30, 70), stable_jaccard=0.75)
    permuted = Stability(jaccards=(1.0, 0.8), sizes=(50, 50), stable_jaccard=0.75)
    (axes,) = charts.stability_chart(StabilityReport(real, permuted)).axes
    shares, jaccards = (np.array(axes.lines[0].get_data()[at]) for at in (0, 1))
    assert shares[jaccards >= 0.75].max() == real.stable_line_share
    assert list(axes.lines[1].get_ydata()) == [1.0, 1.0, 0.8]
