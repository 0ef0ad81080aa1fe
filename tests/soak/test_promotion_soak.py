"""The long version: moves killed at random moments, and two trainings on the real data."""

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

from retail_clusters.promotion import promote
from retail_clusters.promotion.history import history
from retail_clusters.promotion.moves import DONE, UNDER_WAY, champions
from retail_clusters.promotion.promote import PromoteRequest
from retail_clusters.promotion.rollback import rollback
from retail_clusters.search.train import train
from retail_clusters.settings import Experiment
from retail_clusters.settings import Promotion as Bounds
from tests import shop
from tests.shop import book, registry

pytestmark = pytest.mark.soak

#: Kills itself when it has made so many calls to the store since it began to move.
KILLED = """
import os, signal, sys
from mlflow.tracking import MlflowClient
from retail_clusters.registry.models import ModelRegistry
from retail_clusters.promotion.champion import Intent, move_champion
from retail_clusters.promotion.ledger import Ledger
left = [int(sys.argv[3])]

def pluralize(name):
    call = getattr(MlflowClient, name)

    def count(*arguments, **options):
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)

    setattr(MlflowClient, name, count)

for name in ("create_run", "log_text", "set_tag", "set_terminated", "search_runs",
             "set_registered_model_alias", "delete_registered_model_alias", "get_model_version_by_alias"):
    pluralize(name)
with Ledger("retail-clusters").exclusive():
    move_champion(ModelRegistry("retail-clusters"),
                  Intent("promote", sys.argv[1], sys.argv[2], "doomed", {}, {"gates.csv": "gate"}))
"""


def test_ledger_and_aliases_agree_whenever_a_move_is_killed(workplace: Path):
    chance = random.Random(7)
    shop.versions(4)
    registry.set_alias(alias="champion", version="1")
    killed = 0
    for _ in range(20):
        before = str(shop.aliases()["champion"])
        after = chance.choice([version for version in "1234" if version != before])
        calls = str(chance.randrange(1, 18))
        ended = subprocess.run(
            [sys.executable, "-c", KILLED, before, after, calls], check=False, env=os.environ
        )
        assert ended.returncode in {0, -signal.SIGKILL}
        killed += ended.returncode != 0

        entries = history(model=registry.name)

        assert not [move for move in entries if move.state == UNDER_WAY]
        aliases = shop.aliases()
        assert aliases["champion"] in {before, after}
        stack = champions(entries)
        if stack:
            assert stack[-1] == aliases["champion"]
            assert aliases["previous"] == (stack[-2] if len(stack) > 1 else None)
    assert killed > 5
    while len(champions(book.moves())) > 1:
        expected = champions(book.moves())[-2]
        assert rollback(model=registry.name, reason="back").after == expected


@pytest.mark.real
def test_retraining_on_the_real_data_keeps_the_numbers_of_matching_clusters(
    spark: SparkSession, workplace: Path, real_data: Path
):
    bounds = Bounds(min_test_silhouette=-1, margin=2, max_cluster_share=1)
    first, second = (Experiment(k=58, seed=seed, promotion=bounds) for seed in (1, 2))
    train(spark, data=str(real_data), experiment=first)
    promote.run(spark, PromoteRequest(first, reason="first"))
    challenger = train(spark, data=str(real_data), experiment=second)

    promote.run(spark, PromoteRequest(second, challenger.version, reason="another seed"))

    run_id = book.moves()[-1].run_id
    assert book.moves()[-1].state == DONE
    migration, matching = (
        pd.read_csv(StringIO(mlflow.artifacts.load_text(f"runs:/{run_id}/{name}.csv")))
        for name in ("migration", "matching")
    )
    assert migration["lines"].sum() == challenger.measured.test.lines
    matched = set(matching.loc[matching["matched"], "number"])
    stays = migration["old_cluster"] == migration["new_cluster"]
    for column in ("old_cluster", "new_cluster"):
        lines = migration[migration[column].isin(matched)]
        assert lines["lines"][stays].sum() >= 0.95 * lines["lines"].sum()
    assert migration["lines"][stays].sum() > 0.5 * migration["lines"].sum()
