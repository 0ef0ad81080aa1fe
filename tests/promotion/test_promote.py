"""Promotion on real models and a real registry."""

import json
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import mlflow
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from pyspark.sql import SparkSession

from retail_clusters.errors import NotRegisteredError, PromotionRefusedError, RegistryError
from retail_clusters.features.model import parse
from retail_clusters.promotion import promote
from retail_clusters.promotion.ledger import Ledger
from retail_clusters.promotion.moves import DONE
from retail_clusters.promotion.promote import PromoteRequest, Promotion
from retail_clusters.settings import Experiment
from retail_clusters.settings import Promotion as Bounds
from retail_clusters.wording import ROOM
from tests import shop
from tests.shop import BETTER_VERSION, FAIR_VERSION, LOG_VERSION, TWIN_VERSION, UNKNOWN_DATA, book, registry


def go(spark: SparkSession, version: str | None, *, dry_run: bool = False, **bounds: bool) -> Promotion:
    experiment = Experiment(promotion=Bounds(**bounds))
    return promote.run(spark, PromoteRequest(experiment, version, dry_run, reason="a test"))


def crown(version: str) -> None:
    registry.set_alias(alias="champion", version=version)


def promotion_text(name: str) -> str:
    text: str = mlflow.artifacts.load_text(f"runs:/{book.moves()[-1].run_id}/{name}")
    return text


def test_first_promotion_takes_the_challenger_and_puts_it_on_the_ledger(spark: SparkSession, store: Path):
    registry.set_alias(alias="challenger", version=FAIR_VERSION)

    done = go(spark, None)

    assert (done.challenger, done.champion, done.promoted) == (FAIR_VERSION, FAIR_VERSION, True)
    assert shop.aliases() == {"champion": FAIR_VERSION, "challenger": None, "previous": None}
    (move,) = book.moves()
    assert (move.before, move.after, move.reason, move.state) == (None, FAIR_VERSION, "a test", DONE)
    assert move.numbers == (0, 1, 2)
    gates = pd.read_csv(StringIO(promotion_text("gates.csv")))
    assert set(gates["verdict"]) == {"passed"}
    version = registry.read_version(version=FAIR_VERSION)
    assert version.tags["verdict"] == "passed"
    assert version.tags["gate.test_silhouette"].startswith("passed: 0.")
    assert version.description.startswith(f"# retail-clusters, version {FAIR_VERSION}\n")
    assert promotion_text("model_card.md").startswith(f"# retail-clusters, version {FAIR_VERSION}\n")
    run = MlflowClient().get_run(move.run_id)
    assert run.data.tags["data_digest"] == shop.DIGEST
    assert run.data.tags["model_digest"] == version.tags["model_digest"]

    again = go(spark, FAIR_VERSION)

    assert (again.champion, again.promoted, len(book.moves())) == (FAIR_VERSION, False, 1)


def test_better_challenger_becomes_champion_with_the_numbers_of_the_old(spark: SparkSession, store: Path):
    crown(BETTER_VERSION)

    done = go(spark, TWIN_VERSION)

    assert done.champion not in {BETTER_VERSION, TWIN_VERSION}
    assert shop.aliases() == {"champion": done.champion, "challenger": None, "previous": BETTER_VERSION}
    new, old = (registry.open_version(version=str(each)).model for each in (done.champion, BETTER_VERSION))
    lines = shop.raw_lines(spark)
    assert [row.prediction for row in new.transform(lines).collect()] == [
        row.prediction for row in old.transform(lines).collect()
    ]
    version = registry.read_version(version=str(done.champion))
    assert version.tags["renumbered_from"] == TWIN_VERSION
    assert version.run_id == registry.read_version(version=TWIN_VERSION).run_id
    parts = parse(new, version=str(done.champion))
    assert parts.numbers == (0, 1, 2, 3)
    assert parts.digest == version.tags["model_digest"]
    migration = pd.read_csv(StringIO(promotion_text("migration.csv")))
    assert migration["lines"].sum() == json.loads(version.tags["prepared_lines"])["test"]
    assert (migration["old_cluster"] == migration["new_cluster"]).all()
    matching = pd.read_csv(StringIO(promotion_text("matching.csv")))
    assert matching["number"].tolist() == [3, 0, 1, 2]
    assert matching["matched"].all()
    registry.set_alias(alias="challenger", version=TWIN_VERSION)
    same = go(spark, None)
    assert (same.champion, same.promoted) == (done.champion, False)
    assert shop.aliases()["challenger"] is None


def test_killed_promotion_leaves_a_version_that_the_next_one_takes(spark: SparkSession, store: Path):
    crown(FAIR_VERSION)
    with patch.object(Ledger, "announce", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        go(spark, BETTER_VERSION)
    left = registry.latest_version()

    done = go(spark, BETTER_VERSION)

    assert done.champion == left == registry.latest_version()
    parts = parse(registry.open_version(version=str(left)).model, version="?")
    kept = {tuple(centre[:2]): n for centre, n in zip(parts.centres, parts.numbers, strict=True)}
    assert (kept[70.5, 60.0], kept[70.5, 2.0]) == (2, 1)
    assert sorted(kept[2.5, quantity] for quantity in (2.0, 60.0)) == [3, 4]
    predictions = registry.open_version(version=str(left)).model.transform(shop.raw_lines(spark)).collect()
    assert {row.prediction for row in predictions} == {1, 2, 3, 4}


def test_other_feature_space_is_refused_with_the_command_that_accepts_it(
    spark: SparkSession, store: Path, capsys: pytest.CaptureFixture[str]
):
    crown(BETTER_VERSION)

    with pytest.raises(PromotionRefusedError, match="feature_space is new") as refused:
        go(spark, LOG_VERSION)

    assert refused.value.exit_code == 3
    assert str(refused.value).endswith(f"promote --version {LOG_VERSION} --accept-new-space true")
    assert shop.aliases() == {"champion": BETTER_VERSION, "challenger": None, "previous": None}
    assert book.moves() == []
    version = registry.read_version(version=LOG_VERSION)
    assert version.tags["verdict"] == "refused"
    assert version.tags["gate.feature_space"].startswith("FAILED")
    assert "| feature_space | new |" in version.description.replace(ROOM, "")

    done = go(spark, LOG_VERSION, accept_new_space=True)

    assert done.champion == LOG_VERSION
    assert "silhouettes of two feature spaces do not compare" in capsys.readouterr().out


def test_version_of_data_that_is_not_at_hand_is_refused_before_anything_is_measured(
    spark: SparkSession, store: Path
):
    crown(BETTER_VERSION)

    with pytest.raises(PromotionRefusedError, match="no prepared table has it: run prepare again"):
        go(spark, UNKNOWN_DATA)


def test_version_that_is_no_spark_model_is_refused_and_nothing_moves(spark: SparkSession, store: Path):
    crown(FAIR_VERSION)
    foreign = shop.register_foreign(store.parent / "foreign")

    with pytest.raises(RegistryError, match=f"flavour spark, but version {foreign} has python_function: reg"):
        go(spark, foreign)
    crown(foreign)
    with pytest.raises(RegistryError, match=f"version {foreign} has .* or take the alias off this one"):
        go(spark, BETTER_VERSION)

    assert shop.aliases()["champion"] == foreign
    assert book.moves() == []


def test_dry_run_prints_the_table_and_changes_nothing(
    spark: SparkSession, store: Path, capsys: pytest.CaptureFixture[str]
):
    crown(FAIR_VERSION)
    registry.set_alias(alias="challenger", version=BETTER_VERSION)
    before = shop.contents(store)

    go(spark, None, dry_run=True)
    with pytest.raises(PromotionRefusedError):
        go(spark, LOG_VERSION, dry_run=True)

    assert shop.contents(store) == before
    table = capsys.readouterr().out
    assert "not_worse" in table
    assert "FAILED" in table


def test_numbers_of_a_deleted_champion_stay_used(workplace: Path):
    shop.versions(3)
    registry.tag(version="2", tags={"cluster_numbers": "0,7"})
    for number, (version, numbers) in enumerate((("1", "5,0"), ("2", "")), start=1):
        move = book.print_header(
            number=number,
            action="promote",
            before=None,
            after=version,
            reason="",
            facts={"cluster_numbers": numbers},
            texts={},
        )
        book.close(move, state=DONE, note="")
    MlflowClient().delete_model_version(registry.name, "1")

    assert sorted(promote._used_numbers(registry, book.moves())) == [0, 0, 5, 7]


def test_promote_without_any_version_says_what_to_do(workplace: Path):
    with pytest.raises(NotRegisteredError, match="train or sweep first") as told:
        promote.check(PromoteRequest(Experiment()))
    assert told.value.exit_code == 2
