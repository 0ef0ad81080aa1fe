"""One page for a sweep or a version: written to a file, and logged on the run that it is about."""

from dataclasses import dataclass

import click

from retail_clusters.infra import locations, storage
from retail_clusters.registry import tracking
from retail_clusters.report.report_facts import ReportFacts, facts_of_run, facts_of_version
from retail_clusters.report.report_page import to_html
from retail_clusters.settings import REPORT


@dataclass(frozen=True)
class ReportRequest:
    """What a report is about, either a run or a version of `model`, and the file that it is written to."""

    run_id: str | None
    version: str | None
    model: str
    output: str


@dataclass(frozen=True)
class Reported:
    """Where a report is: in a file, and as an artifact of a run."""

    output: str
    run_id: str


def check(request: ReportRequest) -> None:
    """Refuse an output that no file can be at.

    Raises:
        InputError: says why.
    """
    storage.check(request.output)


def run(request: ReportRequest) -> Reported:
    """Collect the facts, write the page, and log it.

    Raises:
        InputError: there is no such run, or it has nothing to report.
        RegistryError: there is no such version.
    """
    if request.version is not None:
        facts = facts_of_version(request.version, model=request.model)
    else:
        facts = facts_of_run(str(request.run_id))
    told = request.run_id or run_of(facts)
    page = to_html(facts)
    storage.make_folder(locations.parent(request.output))
    storage.write_text(request.output, page)
    tracking.log_text(page, REPORT, run_id=told)
    click.echo(f"report: {request.output} ({len(page) / 1e6:.1f} MB), and {REPORT} of run {told}")
    return Reported(output=request.output, run_id=told)


def log_on(run_id: str) -> None:
    """Log the report of a run on it."""
    tracking.log_text(to_html(facts_of_run(run_id)), REPORT, run_id=run_id)


def run_of(facts: ReportFacts) -> str:
    """Return the run that a report is about."""
    about = facts.training or facts.search
    if about is None:
        raise TypeError("a report is about a training or a search")
    return about.run_id
