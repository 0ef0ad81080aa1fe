"""The facts of a report as one page of HTML: pictures inside, no script, no network."""

from typing import Final

import pandas as pd

from retail_clusters.clustering.evaluation import LATER_METRICS, METRICS
from retail_clusters.report import profile
from retail_clusters.report.report_facts import Champion, ReportFacts, Search, Training
from retail_clusters.report.report_html import page, pictures, section, table, text
from retail_clusters.report.stability_report import say
from retail_clusters.schema import ROW_KEY_IN_WORDS
from retail_clusters.settings import Experiment
from retail_clusters.wording import percent

_PROFILED: Final = 30

#: Figures of a version, and the words for them, in the order in which they are shown.
_METRICS: Final = {
    **{name: figure.words for name, figure in LATER_METRICS.items()},
    **{name: figure.words for name, figure in METRICS.items()},
    "stable_line_share": "share of lines in clusters that come back",
}


def to_html(facts: ReportFacts) -> str:
    """Return the page."""
    title = f"{facts.model}, version {facts.version}" if facts.version else f"A sweep for {facts.model}"
    parts = [
        _head(facts),
        _data(facts),
        _searched(facts.search) if facts.search else "",
        _choice(facts),
        *([_clusters(facts.training), _stability(facts.training)] if facts.training else []),
        _compared(facts.training, facts.champion) if facts.training and facts.champion else "",
        _again(facts),
    ]
    return page(title, *parts)


def _head(facts: ReportFacts) -> str:
    training = facts.training
    if training is None:
        return "<p class='lead'>No trial was usable, so nothing is registered.</p>"
    metrics, settings = training.metrics, training.settings
    names = ", ".join(facts.aliases)
    return (
        f"<p class='lead'>Invoice lines in <b>{text(settings['k'])} clusters</b> (seed "
        f"{text(settings['seed'])}): silhouette <b>{metrics['validation_silhouette']:.4f}</b> on the "
        f"validation lines, <b>{metrics['test_silhouette']:.4f}</b> on the test lines.</p>"
        f"<p>{text(_said(training))}.</p>"
        f"<p class='quiet'>{f'Now {text(names)}. ' if names else ''}Trained "
        f"{training.when:%Y-%m-%d %H:%M} UTC by run <code>{text(training.run_id)}</code>.</p>"
    )


def _data(facts: ReportFacts) -> str:
    about = facts.training or facts.search
    if about is None:
        return ""
    settings = about.settings
    first, second = (settings.get(f"split.{name}", "?") for name in ("train_until", "validate_until"))
    days = {
        "train": f"before {first}",
        "validation": f"{first} to before {second}",
        "test": f"from {second} on",
    }
    lines = facts.training.lines if facts.training else {}
    rows = [(name, days.get(name, ""), f"{count:,}") for name, count in lines.items()]
    digest = about.tags.get("data_digest", "")
    return section(
        "The data",
        f"<p><code>{text(settings.get('data', ''))}</code>, content digest "
        f"<code title='{text(digest)}'>{text(digest[:8])}</code>. Training lines fit, validation lines "
        "choose, test lines are looked at last.</p>",
        table(["part", "days", "lines"], rows, numbers_from=2) if rows else "",
    )


def _searched(search: Search) -> str:
    settings, metrics = search.settings, search.metrics
    trials, unusable = metrics["trials_completed"], metrics["trials_infeasible"]
    return section(
        "The search",
        f"<p>K from {text(settings.get('sweep.k_min', '?'))} to {text(settings.get('sweep.k_max', '?'))}, "
        f"{text(settings.get('sweep.seeds', '?'))} seeds: {trials:,.0f} trials, of which {unusable:,.0f} are "
        "not usable: one of their clusters holds more than "
        f"{percent(float(settings.get('guardrails.max_cluster_share', '1')))} of the validation lines, or "
        f"too few hold any.</p>{pictures(search.pictures)}",
    )


def _choice(facts: ReportFacts) -> str:
    search = facts.search
    if search is None or search.winners.empty:
        return ""
    winners = search.winners
    columns = ["k", "seed", "validation_silhouette", "validation_macro_silhouette", "largest_cluster_share"]
    rows = [
        (
            f"{row['objective']}{' (chosen by)' if row['chosen'] else ''}",
            *(_number(row[name]) for name in columns),
        )
        for _, row in winners.iterrows()
    ]
    chosen = winners[winners["chosen"]]
    edge = len(chosen) and str(chosen.iloc[0]["k"]) == search.settings.get("sweep.k_max")
    return section(
        "The choice, and why",
        "<p>Each objective would choose among the usable trials:</p>",
        table(["objective", "K", "seed", "silhouette", "mean over clusters", "largest cluster"], rows),
        _seeds(search, chosen),
        "<p><b>The best K is the largest that was tried: raise sweep.k_max.</b></p>" if edge else "",
        _gap(facts.training) if facts.training else "",
    )


def _seeds(search: Search, chosen: pd.DataFrame) -> str:
    if chosen.empty:
        return ""
    of = search.seeds[search.seeds["k"] == chosen.iloc[0]["k"]].iloc[0]
    return (
        f"<p>The {of['seeds']:.0f} seeds of K={of['k']:.0f} have silhouettes from "
        f"{of['silhouette_min']:.4f} to {of['silhouette_max']:.4f}; their clusterings "
        f"agree to {of['agreement']:.2f} (adjusted Rand index: 1 is the same clusters, 0 chance).</p>"
    )


def _gap(training: Training) -> str:
    validation, test = (training.metrics[f"{name}_silhouette"] for name in ("validation", "test"))
    return (
        f"<p>On test lines, which chose nothing, the silhouette is {test:.4f}, {abs(validation - test):.4f} "
        f"{'below' if test < validation else 'above'} that on validation lines.</p>"
    )


def _clusters(training: Training) -> str:
    shown = profile.texts(training.profile.head(_PROFILED))
    more = len(training.profile) - len(shown)
    drawn = {name: each for name, each in training.pictures.items() if "stability" not in name}
    return section(
        "The clusters",
        "<p>Of the training lines; numbers at 5, 50 and 95 % of a cluster's lines.</p>",
        table(list(shown.columns), shown.to_numpy().tolist(), numbers_from=2),
        f"<p class='quiet'>{more} smaller clusters are not shown.</p>" if more > 0 else "",
        pictures(drawn),
    )


def _stability(training: Training) -> str:
    drawn = {name: each for name, each in training.pictures.items() if "stability" in name}
    return section(
        "Does it come back?",
        f"<p>{text(_said(training))}. Clusters are fitted anew on days drawn with replacement, and "
        f"the same is done on lines whose {ROW_KEY_IN_WORDS} are shuffled, so that they know "
        "nothing of one another.</p>",
        pictures(drawn),
    )


def _said(training: Training) -> str:
    if "null_stable_clusters" not in training.metrics:
        return "Whether the clusters come back was not measured"
    return say(training.metrics, clusters=int(training.settings["k"]))


def _compared(training: Training, champion: Champion) -> str:
    beside = [training.metrics, *([champion.metrics] if champion.metrics else [])]
    header = [
        "figure",
        "this version",
        *([f"champion, version {champion.version}"] if champion.metrics else []),
    ]
    rows = [
        (words, *(_number(metrics[name]) if name in metrics else "" for metrics in beside))
        for name, words in _METRICS.items()
    ]
    gates = (
        f"<p>Before the gates, held against {text(champion.held_against)}: "
        f"<b>{text(champion.verdict)}</b>.</p>" + table(["gate", "verdict"], champion.gates, numbers_from=2)
        if champion.verdict
        else "<p>It has not been before the gates.</p>"
    )
    return section("Beside the champion", table(header, rows), gates)


def _again(facts: ReportFacts) -> str:
    about = facts.training or facts.search
    if about is None:
        return ""
    known = Experiment().flat().keys() | {"data"}
    settings = sorted((name, value) for name, value in about.settings.items() if name in known)
    digests = [
        (name, about.tags[name])
        for name in ("data_digest", "model_digest", "labels_digest")
        if name in about.tags
    ]
    verify = f"python -m retail_clusters verify --run-id {about.run_id}"
    return section(
        "How to reproduce it",
        f"<p><code>{text(verify)}</code> trains it again and compares every bit."
        if facts.training
        else "<p>The same settings and data give the same trials.",
        f" The code was at commit <code>{text(facts.commit)}</code>.</p>" if facts.commit else "</p>",
        table(["digest", ""], digests, numbers_from=2),
        "<details><summary>All settings</summary>"
        + table(["setting", "value"], settings, numbers_from=2)
        + "</details>",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4f}"
