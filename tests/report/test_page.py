"""The page of a report, from facts alone."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from retail_clusters.errors import InputError
from retail_clusters.registry import tracking
from retail_clusters.report.page import Facts, RunFacts, to_html, write_report
from retail_clusters.settings import REPORT, flatten
from tests.report.records import CUSTOMERS, EARLIER

METRICS = {
    "validation_silhouette": 0.74,
    "test_silhouette": 0.71,
    "stable_clusters": 1.0,
    "stable_line_share": 0.9,
    "null_stable_clusters": 0.0,
    "null_stable_line_share": 0.2,
}
PROFILE = pd.DataFrame(
    [(0, "high spend", 54, 0.9, *range(3), "web", 0.5, 0.25)],
    columns=[
        *("cluster", "name", "records", "share", "spend_p05", "spend_median", "spend_p95"),
        *("channel_top", "channel_top_share", "cancelled_mean"),
    ],
)
TRAINING = RunFacts(
    run_id="f" * 32,
    started=datetime(2026, 11, 24, tzinfo=UTC),
    settings={"k": "2", "seed": "7", "data": "by-day", "split.train_until": "2011-07-01"}
    | flatten(CUSTOMERS.declared()),
    metrics=METRICS,
    tags={
        "data_digest": "d" * 32,
        "cluster_numbers": "0",
        "left_out": "7 lines by no_customer",
        "records": '{"train": 60, "validation": 20, "test": 20}',
    },
    tables={"profile": PROFILE},
    charts={"charts/sizes.png": b"sizes", "charts/stability.png": b"stability"},
    quarantined=["2 because UnitPrice is not a number, such as '5,<A>' (b.csv, line 3)"],
)
SEEDS = {"k": 2, "seeds": 8, "silhouette_min": 0.5, "silhouette_max": 0.74, "agreement": 0.9}
SEARCH = RunFacts(
    run_id="e" * 32,
    started=TRAINING.started,
    settings={"best_k": "2", "sweep.k_min": "2", "sweep.k_max": "2", "sweep.seeds": "8"},
    metrics={"trials_completed": 8.0, "trials_infeasible": 3.0},
    tags={},
    tables={"seed_agreement": pd.DataFrame([SEEDS])},
    charts={"charts/choice_of_k.png": b"choice"},
)
TAGS = {
    "cluster_numbers": "3",
    "verdict": "passed",
    "held_against": "none",
    "gate.clusters": "passed: 2, must be at least 2",
}
FACTS = Facts("shop", "4", ("champion",), TRAINING, SEARCH, version_tags=TAGS)


def headings(page: str) -> list[str]:
    return re.findall(r"<h[12]>(.*)</h[12]>", page)


def check_well_formed(page: str) -> None:
    """Parse the page as XML, its void elements closed."""
    body = re.sub(r"<(meta|img)([^>]*)>", r"<\1\2/>", page.removeprefix("<!doctype html>"))
    ElementTree.fromstring(body)


def test_page_goes_from_the_data_to_how_to_reproduce_it():
    page = to_html(FACTS)
    assert page.startswith("<!doctype html>")
    check_well_formed(page)
    assert headings(page) == [
        "shop, version 4",
        "The data",
        "The search",
        "The choice, and why",
        "The clusters",
        "Are the clusters stable?",
        "Metrics and gates",
        "How to reproduce it",
    ]
    assert "Customers in <b>2 clusters</b>" in page
    assert "1 of 2 clusters are stable (90.0% of customers)" in page
    assert "0.0300 below that on validation customers" in page
    assert "<td>3</td><td>high spend</td>" in page, "numbers are those of the version"
    assert "<td>clusters</td><td>passed: 2, must be at least 2</td>" in page
    assert (
        "<li>2 because UnitPrice is not a number, such as &#39;5,&lt;A&gt;&#39; (b.csv, line 3)</li>" in page
    )


def test_page_says_what_is_clustered_which_lines_count_and_by_what():
    page = to_html(FACTS)
    assert "A record is all lines of one CustomerID within 180 days." in page
    assert "no_customer (CustomerID IS NULL); here 7 lines by no_customer." in page
    assert "<td>recency</td><td>datediff(as_of, max(InvoiceDate))</td><td>as it is</td>" in page
    assert "recency, spend, channel each permuted" in page
    assert "<td>train</td><td>180 days before 2011-07-01</td>" in page


def test_version_of_an_earlier_release_has_a_page_too():
    settings = {"k": "2", "seed": "7", "features.scaling": "none", "features.unseen_days": "error"}
    tags = {"prepared_lines": '{"train": 60, "validation": 20, "test": 20}'}
    charts = {"charts/price_quantity.png": b"dots"}
    run = replace(TRAINING, settings=settings, tags=tags, tables={"profile": EARLIER}, charts=charts)
    page = to_html(Facts("shop", "1", training=run))
    check_well_formed(page)
    assert "Lines in <b>2 clusters</b>" in page
    assert "<td>UnitPrice</td>" in page
    assert "<td>date_format(InvoiceDate, &#39;EEEE&#39;)</td><td>encode: onehot; unseen: error</td>" in page
    assert '<td>usual orders</td><td class="number">1,200</td>' in page
    assert 'alt="charts/price_quantity.png"' in page


def test_page_needs_nothing_but_itself():
    page = to_html(FACTS)
    assert page.count('src="data:image/png;base64,') == page.count("<img") == 3
    assert not re.search(r"<script|<link|https?:", page)


@pytest.mark.parametrize("where", ["model", "data", "name"])
def test_names_cannot_be_taken_for_html(where):
    bad = "<script>alert('x')</script>"
    facts = {
        "model": replace(FACTS, model=bad),
        "data": replace(FACTS, training=replace(TRAINING, settings=TRAINING.settings | {"data": bad})),
        "name": replace(FACTS, training=replace(TRAINING, tables={"profile": PROFILE.assign(name=bad)})),
    }[where]
    page = to_html(facts)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_best_at_the_edge_of_the_range_is_told():
    assert "largest that was tried" in to_html(FACTS)
    wider = replace(SEARCH, settings=SEARCH.settings | {"sweep.k_max": "60"})
    assert "largest that was tried" not in to_html(replace(FACTS, search=wider))


def test_search_without_a_usable_trial_has_a_page_too_in_a_new_folder_and_on_its_run(workplace):
    with tracking.run("sweep") as run_id:
        tracking.log_settings({"sweep.k_min": "2", "sweep.k_max": "2", "sweep.seeds": "8"})
        tracking.log_metrics(SEARCH.metrics)
        tracking.log_table(SEARCH.tables["seed_agreement"], "seed_agreement")
    output = workplace / "new" / "page.html"
    made = write_report(run_id=run_id, version=None, model="shop", output=str(output))
    page = output.read_text(encoding="utf-8")
    assert headings(page)[1:] == ["The data", "The search", "How to reproduce it"]
    assert "This run registered no version" in page
    assert tracking.read_files(made["run_id"], [REPORT]) == {REPORT: page.encode()}


def test_version_that_no_promotion_has_judged_says_so():
    assert "No promotion has judged it" in to_html(Facts("shop", "4", training=TRAINING))


def test_run_that_neither_searched_nor_trained_is_refused(workplace: Path):
    with tracking.run("prepare") as run_id:
        pass
    with pytest.raises(InputError, match="choose a main, sweep, train or register run"):
        write_report(run_id=run_id, version=None, model="shop", output="page.html")
