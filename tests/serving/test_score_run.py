"""The run of a scorer: whose the output is, and points that no outage loses."""

import json
from pathlib import Path

import mlflow
import pytest

from retail_clusters.errors import InputError
from retail_clusters.infra.console import Progress
from retail_clusters.registry import tracking
from retail_clusters.serving.commits import CommitLog
from retail_clusters.serving.score_run import ScoreRun
from retail_clusters.serving.scorer import ScoreSummary
from tests import scorers
from tests.serving.test_commits import record


def opened(place: Path, *, source: str = "in") -> tuple[ScoreRun, CommitLog]:
    (place / "output" / "commits").mkdir(parents=True, exist_ok=True)
    log = CommitLog.load(str(place / "output"))
    return ScoreRun(scorers.request(place / source), log=log, progress=Progress("score")), log


def test_points_go_to_one_run_in_order_and_once_whatever_process_sends_them(workplace: Path) -> None:
    first, log = opened(workplace)
    for number in range(45):
        log.append(record(number))
        if number == 30:
            first.send()
    second, _ = opened(workplace)
    assert second.run_id == first.run_id
    second.finish(ScoreSummary(second.run_id), status="FINISHED", unmeasured=None)
    assert scorers.points(first.run_id, "rows_in") == dict.fromkeys(range(45), 5.0)
    assert mlflow.get_run(first.run_id).info.status == "FINISHED"
    assert json.loads((workplace / "output" / "_scorer.json").read_text())["sent_until"] == 44


def test_points_wait_for_a_store_that_is_away_and_another_store_gets_them_all(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, log = opened(workplace)
    log.append(record(0))
    store = workplace / "mlflow.db"
    store.rename(workplace / "moved.db")
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    with tracking.short_timeouts():
        run.send()
        run.send()
    told = capsys.readouterr().err
    assert told.count("points wait for the tracking store") == 1
    mlflow.set_tracking_uri(f"sqlite:///{workplace / 'moved.db'}")
    run.finish(ScoreSummary(run.run_id), status="FAILED", unmeasured=None)
    assert scorers.points(run.run_id, "rows_in") == {0: 5}
    mlflow.set_tracking_uri(f"sqlite:///{workplace / 'another.db'}")
    other, _ = opened(workplace)
    other.send()
    assert scorers.points(other.run_id, "rows_in") == {0: 5}


def test_an_output_holds_the_lines_of_one_source(workplace: Path) -> None:
    opened(workplace)
    with pytest.raises(InputError, match="must hold the lines of one source"):
        opened(workplace, source="else")
