"""A warning when drift begins, and not again before it has ended."""

from pathlib import Path
from types import SimpleNamespace

from retail_clusters.features.baseline import Baseline
from retail_clusters.features.binned import Counts
from retail_clusters.serving.drift_watch import DriftWatch
from retail_clusters.serving.output import Output
from retail_clusters.serving.records import CommitLog

BASELINE = Baseline(
    clusters=(1.0,),
    price_edges=(2.0,),
    price=(0.5, 0.5),
    quantity_edges=(),
    quantity=(1.0,),
    weekday=(1.0, 0, 0, 0, 0, 0, 0),
)


def day(number: int, *, dear: int) -> Counts:
    """Return a thousand lines of a day, so many of them above the edge."""
    return Counts(
        clusters=(1000, 0),
        price=(1000 - dear, dear),
        quantity=(1000,),
        weekday=(1000, 0, 0, 0, 0, 0, 0),
        days=(number,),
    )


def said(place: Path, days: list[int], *, baseline: Baseline | None = BASELINE) -> list[int]:
    """Return after which days a watch warns, given the dear lines of each."""
    book = CommitLog(Output(str(place)))
    warnings: list[str] = []
    watch = DriftWatch(book, warning=0.25, warn=warnings.append)
    model = SimpleNamespace(version="1", baseline=baseline)
    told = []
    for number, dear in enumerate(days):
        counts = day(number, dear=dear)
        before = len(warnings)
        watch.measure(counts, model=model)  # type: ignore[arg-type]
        book.scored_days.add("1", counts)
        told += [number] * (len(warnings) - before)
    assert all("PSI of price is" in text and "train anew" in text for text in warnings)
    return told


def test_it_warns_once_when_drift_begins_and_again_when_it_begins_again(tmp_path: Path) -> None:
    assert said(tmp_path, [500] * 3 + [999] * 5 + [500] * 4 + [999] * 3) == [4, 13]


def test_it_says_nothing_of_days_as_those_that_trained(tmp_path: Path) -> None:
    assert said(tmp_path, [500, 480, 530] * 10) == []


def test_it_says_nothing_before_three_days_have_come(tmp_path: Path) -> None:
    assert said(tmp_path, [999, 999]) == []
    assert said(tmp_path, [999, 999, 999]) == [2]


def test_a_version_without_a_baseline_is_not_watched(tmp_path: Path) -> None:
    assert said(tmp_path, [999] * 5, baseline=None) == []
