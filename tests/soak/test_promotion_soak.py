"""The long version: moves killed at random moments or made at once, and two trainings on the real data."""

import os
import random
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from retail_clusters.promotion.history import history, rollback
from retail_clusters.promotion.promote import promote
from retail_clusters.registry.champion import DONE, UNDER_WAY, WITHDRAWN, champions, read_moves
from retail_clusters.search.train import train
from retail_clusters.settings import Experiment
from retail_clusters.settings import Promotion as Bounds
from tests import shop
from tests.shop import registry

pytestmark = pytest.mark.soak

#: Kills itself when it has made so many calls to the store since it began to move; with 0 it goes on.
COMMAND = """
import os, signal, sys
from mlflow.tracking import MlflowClient
from retail_clusters.registry import tracking
from retail_clusters.registry.champion import move_champion
from retail_clusters.registry.models import ModelRegistry
before, after, calls = sys.argv[1:]
left = [int(calls) or 1_000_000]

def counting(call):
    def count(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return count

for name in ("create_run", "log_batch", "set_tag", "set_terminated", "search_runs", "get_model_version",
             "set_registered_model_alias", "delete_registered_model_alias", "get_model_version_by_alias"):
    setattr(MlflowClient, name, counting(getattr(MlflowClient, name)))
print("ready", flush=True)
sys.stdin.readline()
with tracking.run("promote"):
    move_champion(ModelRegistry("retail-clusters"), action="promote", before=before, after=after, reason="")
"""


def command(before: str, after: str, calls: int = 0) -> "subprocess.Popen[str]":
    """Start a promotion that waits for a line on its standard input."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, before, after, str(calls)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )


def go(started: "subprocess.Popen[str]") -> int:
    started.communicate("go\n")
    return started.returncode


def test_history_and_aliases_agree_whenever_a_move_is_killed(workplace: Path):
    chance = random.Random(7)
    shop.versions(4)
    registry.set_alias(alias="champion", version="1")
    killed = 0
    for _ in range(20):
        before = str(shop.aliases()["champion"])
        after = chance.choice([version for version in "1234" if version != before])
        ended = go(command(before, after, chance.randrange(1, 18)))
        assert ended in {0, -signal.SIGKILL}
        killed += ended != 0

        entries = history(model=registry.name)

        assert {move.state for move in entries} <= {DONE, UNDER_WAY}
        aliases = shop.aliases()
        assert aliases["champion"] in {before, after}
        if stack := champions(entries):
            assert stack[-1] == aliases["champion"]
    assert killed > 5
    while len(reachable := champions(read_moves(registry.name))) > 1:
        assert rollback(model=registry.name, reason="back").after == reachable[-2]


def test_of_two_machines_that_promote_at_once_the_history_holds_each_that_moved_the_alias(workplace: Path):
    """Without a common lock, as on two machines."""
    shop.versions(3)
    registry.set_alias(alias="champion", version="1")
    for _ in range(20):
        made, before = len(read_moves(registry.name)), str(shop.aliases()["champion"])
        both = [command(before, after) for after in "123" if after != before]
        for each in both:
            assert each.stdout
            each.stdout.readline()
        for each in both:
            assert each.stdin
            each.stdin.write("go\n")
            each.stdin.flush()
        for each in both:
            each.communicate()

        new = read_moves(registry.name)[made:]
        assert {move.state for move in new} <= {DONE, WITHDRAWN}
        finished = [move.after for move in new if move.state == DONE]
        assert shop.aliases()["champion"] in finished
        assert len(finished) == [each.returncode for each in both].count(0)


@pytest.mark.real
def test_retraining_on_the_real_data_keeps_the_numbers_of_matching_clusters(
    spark: SparkSession, workplace: Path, real_data: Path
):
    bounds = Bounds(min_test_silhouette=-1, margin=2, max_cluster_share=1)
    first, second = (Experiment(k=58, seed=seed, promotion=bounds) for seed in (1, 2))
    train(spark, data=str(real_data), experiment=first)
    promote(spark, first, reason="first")
    challenger = train(spark, data=str(real_data), experiment=second)

    promote(spark, second, version=challenger.version, reason="another seed")

    move = read_moves(registry.name)[-1]
    assert (move.after, move.state) == (challenger.version, DONE)
    migration, matching = (
        pd.read_csv(StringIO(mlflow.artifacts.load_text(f"runs:/{move.run_id}/{name}.csv")))
        for name in ("migration", "matching")
    )
    assert migration["lines"].sum() == challenger.measured.test.lines
    matched = set(matching.loc[matching["matched"], "number"])
    stays = migration["old_cluster"] == migration["new_cluster"]
    for column in ("old_cluster", "new_cluster"):
        lines = migration[migration[column].isin(matched)]
        assert lines["lines"][stays].sum() >= 0.95 * lines["lines"].sum()
    assert migration["lines"][stays].sum() > 0.5 * migration["lines"].sum()
