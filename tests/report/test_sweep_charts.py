"""Figures, by what is in their axes."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from retail_clusters.clustering.stability import Stability
from retail_clusters.features.rows import WeightedRows
from retail_clusters.report import cluster_charts, plots, profile, quality_charts, sweep_charts
from retail_clusters.report.cluster_charts import Picture
from retail_clusters.report.stability_report import StabilityReport
from retail_clusters.report.sweep_page import trials_figure
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


def rows() -> WeightedRows:
    return examples.weighted((1.0, 1, "Monday", 6, 0), (1.0, 5, "Friday", 2, 0), (50.0, -2, "Friday", 2, 2))


def picture() -> Picture:
    made = rows()
    labels = (made.prices > 10).astype(np.intp)
    return Picture(made, labels, profile.profile(made, labels))


def labels_of(figure: Figure) -> list[str]:
    legend = figure.axes[0].get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_axis_of_silhouettes_is_that_of_the_usable_trials():
    figure = sweep_charts.silhouette_chart(TRIALS, chosen=(3, 1))
    low, high = figure.axes[0].get_ylim()
    assert low < 0.40
    assert 0.50 < high < 0.6


def test_unusable_trial_beyond_the_axis_stands_at_its_edge_and_is_told():
    figure = sweep_charts.silhouette_chart(TRIALS, chosen=(3, 1))
    _, high = figure.axes[0].get_ylim()
    (edge,) = [line for line in figure.axes[0].lines if line.get_marker() == "^"]
    assert (list(edge.get_xdata()), list(edge.get_ydata())) == ([2], [high])
    assert "not usable, above the axis" in labels_of(figure)


def test_chosen_trial_is_marked_in_every_chart_of_a_sweep():
    chosen = (3, 1)
    drawn = {
        "validation_silhouette": sweep_charts.silhouette_chart(TRIALS, chosen=chosen),
        "largest_cluster_share": sweep_charts.share_chart(TRIALS, chosen=chosen, guardrail=0.8),
        "train_cost": sweep_charts.cost_chart(TRIALS, chosen=chosen),
    }
    for column, figure in drawn.items():
        (star,) = [line for line in figure.axes[0].lines if line.get_marker() == "*"]
        assert (star.get_xdata()[0], star.get_ydata()[0]) == (3, TRIALS[column][2])


def test_sweep_without_a_usable_trial_is_drawn_all_the_same():
    none = TRIALS.assign(usable=False)
    figure = sweep_charts.silhouette_chart(none, chosen=None)
    assert figure.axes[0].get_ylim()[1] > 0.99


def test_guardrail_is_drawn_at_its_height():
    figure = sweep_charts.share_chart(TRIALS, chosen=(3, 1), guardrail=0.8)
    assert [0.8, 0.8] in [list(line.get_ydata()) for line in figure.axes[0].lines]


def test_page_of_a_sweep_shows_every_trial_and_the_range_of_the_usable():
    figure = trials_figure(TRIALS, chosen=(3, 1), guardrail=0.8)
    of_silhouettes = [trace for trace in figure.data if trace.yaxis == "y"]
    assert sum(len(trace.x) for trace in of_silhouettes) == len(TRIALS)
    assert figure.layout.yaxis.range[1] < 0.6


def test_bars_of_sizes_add_up_to_all_lines_however_many_clusters():
    table = pd.DataFrame(
        {"cluster": range(30), "name": ["a"] * 30, "lines": [10] * 30, "share": [1 / 30] * 30}
    )
    bars = cluster_charts.sizes_chart(table).axes[0].patches
    assert len(bars) == 21
    assert sum(bar.get_width() for bar in bars) == pytest.approx(1)


def test_every_row_is_drawn_in_the_colour_of_its_cluster_and_centres_at_the_means_of_lines():
    figure = cluster_charts.price_quantity_chart(picture())
    dots = {each.get_label(): each for each in figure.axes[0].collections}
    assert sum(len(each.get_offsets()) for each in dots.values()) == 3
    first = next(each for label, each in dots.items() if str(label).startswith("0 "))
    assert to_hex(first.get_facecolor()[0]) == plots.BLUE.lower()
    centres = {text.get_text(): text.xy for text in figure.axes[0].texts}
    assert centres["0"] == (2.0, 1.0)
    assert centres["1"] == (-2.0, 50.0)


def test_heat_map_of_centres_holds_means_and_shares_of_weekdays():
    left, right = cluster_charts.centres_chart(picture()).axes
    shown = [text.get_text() for text in left.texts]
    second = len(shown) // 2
    assert [shown[at] for at in (0, 1, second, second + 1)] == ["1.00", "2.0", "50.00", "-2.0"]
    assert [text.get_text() for text in right.texts] == ["75 %", "25 %", "0 %", "100 %"]


def test_silhouettes_are_drawn_as_the_quantiles_of_a_clusters_lines():
    figure = quality_charts.silhouettes_chart(
        np.array([0, 0, 1]),
        np.array([0.2, 0.8, 0.5]),
        np.array([1.0, 9.0, 1.0]),
        names={0: "0  a", 1: "1  b", 2: "2  without lines"},
        mean=0.7,
    )
    medians = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert medians == [0.8, 0.5]


def test_curve_of_stability_crosses_the_bar_at_the_share_of_stable_lines():
    real = Stability(jaccards=(0.9, 0.6), sizes=(30, 70), stable_jaccard=0.75)
    null = Stability(jaccards=(1.0, 0.8), sizes=(50, 50), stable_jaccard=0.75)
    axes = quality_charts.stability_chart(StabilityReport(real, null)).axes[0]
    shares, jaccards = (np.array(axes.lines[0].get_data()[at]) for at in (0, 1))
    assert shares[jaccards >= 0.75].max() == real.stable_line_share
    assert list(axes.lines[1].get_ydata()) == [1.0, 1.0, 0.8]
