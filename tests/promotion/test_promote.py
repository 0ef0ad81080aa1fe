"""Promotion on real models and a real registry, in a folder that has nothing but the store."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from pyspark.sql import SparkSession

from retail_clusters.errors import InputError, NotRegisteredError, PromotionRefusedError, RegistryError
from retail_clusters.features.interface import open_model, parts_of
from retail_clusters.promotion.compare import compare
from retail_clusters.promotion.history import rollback
from retail_clusters.promotion.promote import Promotion, promote
from retail_clusters.registry import evidence
from retail_clusters.registry.champion import DONE
from retail_clusters.registry.names import ClusterNames, read_names
from retail_clusters.settings import Experiment
from retail_clusters.settings import Promotion as Bounds
from retail_clusters.wording import ROOM
from tests import shop
from tests.shop import BETTER_VERSION, FAIR_VERSION, LOG_VERSION, TWIN_VERSION, moves, registry


def go(spark: SparkSession, version: str | None, *, dry_run: bool = False, **bounds: bool) -> Promotion:
    experiment = Experiment(promotion=Bounds(**bounds))
    return promote(spark, experiment, version=version, dry_run=dry_run, reason="a test")


def crown(version: str) -> None:
    registry.set_alias(alias="champion", version=version)


def artifact(name: str) -> str:
    text: str = mlflow.artifacts.load_text(f"runs:/{moves()[-1].run_id}/{name}")
    return text


def predictions(spark: SparkSession, version: str | None) -> list[int]:
    model = registry.open_version(version=str(version)).model
    return [row.prediction for row in model.transform(shop.raw_lines(spark)).collect()]


def test_first_promotion_takes_the_challenger_and_is_one_run_with_its_checks(
    spark: SparkSession, store: Path
):
    registry.set_alias(alias="challenger", version=FAIR_VERSION)

    done = go(spark, None)

    assert (done.challenger, done.champion, done.promoted) == (FAIR_VERSION, FAIR_VERSION, True)
    assert shop.aliases() == {"champion": FAIR_VERSION, "challenger": None, "previous": None}
    (move,) = moves()
    assert (move.before, move.after, move.reason, move.state) == (None, FAIR_VERSION, "a test", DONE)
    assert move.numbers == (0, 1, 2)
    assert set(pd.read_csv(StringIO(artifact("gates.csv")))["verdict"]) == {"passed"}
    version = registry.read_version(version=FAIR_VERSION)
    assert version.tags["verdict"] == "passed"
    assert version.tags["gate.test_silhouette"].startswith("passed: 0.")
    for card in (version.description, artifact("model_card.md")):
        assert card.startswith(f"# retail-clusters, version {FAIR_VERSION}\n")
    (run,) = mlflow.search_runs(filter_string="tags.kind = 'promote'", output_format="list")
    assert run.info.run_id == move.run_id
    assert run.data.tags["data_digest"] == shop.DIGEST
    assert run.data.tags["model_digest"] == version.tags["model_digest"]

    again = go(spark, FAIR_VERSION)

    assert (again.champion, again.promoted, len(moves())) == (FAIR_VERSION, False, 1)


def test_version_that_another_champion_came_before_is_registered_anew_with_its_numbers(
    spark: SparkSession, store: Path, capsys: pytest.CaptureFixture[str]
):
    crown(BETTER_VERSION)

    done = go(spark, TWIN_VERSION)

    assert done.champion not in {BETTER_VERSION, TWIN_VERSION}
    assert (
        f"as version {done.champion}: the clusters of version {TWIN_VERSION} have" in capsys.readouterr().out
    )
    assert shop.aliases() == {"champion": done.champion, "challenger": None, "previous": BETTER_VERSION}
    assert predictions(spark, done.champion) == predictions(spark, BETTER_VERSION)
    version, made_from = (registry.read_version(version=str(v)) for v in (done.champion, TWIN_VERSION))
    assert version.tags["renumbered_from"] == TWIN_VERSION
    assert version.tags["cluster_numbers"] == "3,0,1,2"
    assert version.tags["model_digest"] == made_from.tags["model_digest"]
    assert version.run_id == made_from.run_id
    migration = pd.read_csv(StringIO(artifact("migration.csv")))
    assert migration["lines"].sum() == json.loads(version.tags["records"])["test"]
    assert (migration["old_cluster"] == migration["new_cluster"]).all()
    matching = pd.read_csv(StringIO(artifact("matching.csv")))
    assert matching["number"].tolist() == [3, 0, 1, 2]
    assert matching["matched"].all()
    registry.set_alias(alias="challenger", version=TWIN_VERSION)
    same = go(spark, None)
    assert (same.champion, same.promoted) == (done.champion, False)
    assert shop.aliases()["challenger"] is None


def test_cluster_numbers_and_their_names_stay_through_promotions_and_a_rollback(
    spark: SparkSession, store: Path
):
    crown(FAIR_VERSION)
    described = ClusterNames({1: "low price", 2: "high price"})
    registry.tag(version=FAIR_VERSION, tags=described.with_given({1: "Cheap"}).tags)

    better = go(spark, BETTER_VERSION).champion
    parts = parts_of(open_model(registry, version=str(better)))
    kept = {tuple(centre[:2]): n for centre, n in zip(parts.centres, parts.numbers, strict=True)}
    assert (kept[70.5, 60.0], kept[70.5, 2.0]) == (2, 1)
    assert sorted(kept[2.5, quantity] for quantity in (2.0, 60.0)) == [3, 4]
    assert set(predictions(spark, better)) == {1, 2, 3, 4}

    twin = go(spark, TWIN_VERSION).champion
    assert predictions(spark, twin) == predictions(spark, better)
    assert [read_names(registry, str(each)).name(1) for each in (better, twin)] == ["Cheap", "Cheap"]
    renamed = read_names(registry, str(twin)).with_given({1: "Cheapest"})
    registry.tag(version=str(twin), tags=renamed.tags)

    for _ in range(2):
        rollback(model=registry.name, reason="back")
    assert read_names(registry, FAIR_VERSION).name(1) == "Cheapest"
    assert read_names(registry, FAIR_VERSION).name(2) == "high price"
    assert go(spark, better).champion == better  # its numbers mean what they meant
    rollback(model=registry.name, reason="back")
    again = go(spark, TWIN_VERSION).champion
    numbers = set(registry.read_version(version=str(again)).tags["cluster_numbers"].split(","))
    assert numbers == {"1", "2", "5", "6"}  # 3 and 4 had another meaning once


def test_version_that_a_killed_promotion_made_is_taken_by_the_next(spark: SparkSession, store: Path):
    crown(FAIR_VERSION)
    made = go(spark, BETTER_VERSION).champion
    MlflowClient().delete_run(moves()[-1].run_id)
    crown(FAIR_VERSION)

    done = go(spark, BETTER_VERSION)

    assert done.champion == made == registry.latest_version()


def test_other_feature_space_is_refused_unless_a_person_accepts_it(spark: SparkSession, store: Path):
    crown(BETTER_VERSION)

    with pytest.raises(PromotionRefusedError, match="feature_space is another feature space") as refused:
        go(spark, LOG_VERSION)

    assert refused.value.exit_code == 3
    assert "accepted with --accept-new-space true" in str(refused.value)
    assert shop.aliases() == {"champion": BETTER_VERSION, "challenger": None, "previous": None}
    assert moves() == []
    version = registry.read_version(version=LOG_VERSION)
    assert version.tags["verdict"] == "refused"
    assert version.tags["gate.feature_space"].startswith("FAILED")
    assert "| feature_space | FAILED: another feature space, must be" in version.description.replace(ROOM, "")

    done = go(spark, LOG_VERSION, accept_new_space=True)

    assert done.champion == LOG_VERSION


def test_version_whose_rows_are_gone_must_be_trained_again(spark: SparkSession, store: Path):
    bare = shop.register(shop.model(spark, shop.BETTER), carries_rows=False)

    with pytest.raises(
        InputError, match=f"the store has none of version {bare}'s run .*: restore that run, or train"
    ):
        go(spark, bare)

    assert moves() == []


def test_where_constants_differ_labels_are_compared_and_silhouettes_in_the_champions_space(
    spark: SparkSession, store: Path
):
    crown(BETTER_VERSION)
    one = shop.model(spark, shop.TWIN)
    days = one.space.fitted["weekday"]
    fewer = replace(days, categories=days.categories[:1])
    space = replace(one.space, fitted={**one.space.fitted, "weekday": fewer})
    other = shop.register(replace(one, space=space, centres=one.centres[:, :3]))

    comparison = compare(spark, registry, challenger=other, champion=BETTER_VERSION)

    assert not comparison.same_clusters
    assert comparison.in_champions_space is not None
    assert comparison.challenger.test is not None
    assert comparison.in_champions_space.sizes == comparison.challenger.test.sizes
    assert comparison.in_champions_space.silhouette != comparison.challenger.test.silhouette


def test_version_that_carries_a_sample_of_its_rows_is_promoted_and_says_so(
    spark: SparkSession, store: Path, capsys: pytest.CaptureFixture[str]
):
    registry.tag(version=FAIR_VERSION, tags={evidence.TAG: "a sample: 481 of 9,999 rows"})

    assert go(spark, FAIR_VERSION).promoted

    assert "promote: measured on a sample: 481 of 9,999 rows" in capsys.readouterr().out


def test_version_that_is_no_spark_model_is_refused_and_nothing_moves(spark: SparkSession, store: Path):
    crown(FAIR_VERSION)
    foreign = shop.register_foreign(store.parent / "foreign")

    with pytest.raises(RegistryError, match=f"flavour spark, but version {foreign} has python_function: reg"):
        go(spark, foreign)
    crown(foreign)
    with pytest.raises(RegistryError, match=f"version {foreign} has .* or take the alias off this one"):
        go(spark, BETTER_VERSION)

    assert shop.aliases()["champion"] == foreign
    assert moves() == []


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


def test_promote_without_any_version_says_what_to_do(spark: SparkSession, workplace: Path):
    with pytest.raises(NotRegisteredError, match="train or sweep first") as told:
        promote(spark, Experiment())
    assert told.value.exit_code == 2
