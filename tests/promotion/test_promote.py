"""Promotion on real models, a real registry and real processes."""

import json
import os
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_clusters.data import csv_files, invoices
from retail_clusters.errors import PromotionRefusedError, RegistryError
from retail_clusters.promotion import ledger
from retail_clusters.promotion.promote import Promotion, promote
from retail_clusters.settings import Experiment, Features
from retail_clusters.settings import Promotion as Bounds
from retail_clusters.training.model import parse
from retail_clusters.training.train import train
from tests import shop
from tests.shop import book, registry

FAIR, BETTER, TWIN, WORSE, DEGENERATE, OTHER_LINES, LOG, NO_SATURDAY, UNKNOWN = (str(n) for n in range(1, 10))


@pytest.fixture(scope="module")
def stocked(spark: SparkSession, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a prepared table, and a store with a version of each kind."""
    folder, before = tmp_path_factory.mktemp("shop"), Path.cwd()
    shutil.copy(empty_store, folder / "mlflow.db")
    os.chdir(folder)
    use(folder)
    mlflow.set_experiment(experiment_id=MlflowClient().create_experiment("shop", str(folder / "artifacts")))
    table = shop.prepare(spark)
    for centres in (shop.FAIR, shop.BETTER, shop.TWIN, shop.WORSE, shop.DEGENERATE):
        shop.register(shop.model(spark, table, centres, how=Features()), table, k=len(centres))
    shop.register_for_other_lines(shop.model(spark, table, shop.BETTER, how=Features()), table)
    shop.register(shop.model(spark, table, shop.BETTER, how=Features(scaling="log")), table, k=4)
    picky = Features(unseen_days="error")
    shop.register(shop.model(spark, table, shop.BETTER, how=picky), table, k=4)
    shop.again(BETTER, tags={"data_digest": "e" * 32})
    os.chdir(before)
    return folder


@pytest.fixture
def store(stocked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the store, in a working folder of its own."""
    shutil.copy(stocked / "mlflow.db", tmp_path / "mlflow.db")
    (tmp_path / "data").symlink_to(stocked / "data")
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    use(tmp_path)
    return tmp_path / "mlflow.db"


def use(folder: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.set_registry_uri(f"sqlite:///{folder / 'mlflow.db'}")


def go(spark: SparkSession, version: str | None, *, dry_run: bool = False, **bounds: bool) -> Promotion:
    experiment = Experiment(promotion=Bounds(**bounds))
    return promote(spark, experiment=experiment, version=version, dry_run=dry_run, reason="a test")


def crown(version: str) -> None:
    registry.set_alias(alias="champion", version=version)


def promotion_text(name: str) -> str:
    run_id = book.moves()[-1].run_id
    text: str = mlflow.artifacts.load_text(f"runs:/{run_id}/{name}")
    return text


def test_first_promotion_takes_the_challenger_and_puts_it_on_the_ledger(spark: SparkSession, store: Path):
    registry.set_alias(alias="challenger", version=FAIR)

    done = go(spark, None)

    assert (done.challenger, done.champion, done.promoted) == (FAIR, FAIR, True)
    assert shop.aliases() == {"champion": FAIR, "challenger": None, "previous": None}
    move = book.moves()[-1]
    assert (move.before, move.after, move.reason, move.state) == (None, FAIR, "a test", ledger.DONE)
    assert move.who == ledger.who()
    gates = pd.read_csv(StringIO(promotion_text("gates.csv")))
    assert set(gates["verdict"]) == {"passed"}
    version = registry.read_version(version=FAIR)
    assert version.tags["verdict"] == "passed"
    assert version.tags["gate.test_silhouette"].startswith("passed: 0.")
    assert version.description.startswith(f"# retail-clusters, version {FAIR}\n")
    assert promotion_text("model_card.md").startswith(f"# retail-clusters, version {FAIR}\n")
    run = MlflowClient().get_run(move.run_id)
    assert run.data.tags["data_digest"] == shop.DIGEST
    assert run.data.tags["model_digest"] == version.tags["model_digest"]

    again = go(spark, FAIR)

    assert (again.champion, again.promoted, len(book.moves())) == (FAIR, False, 1)


def test_better_challenger_becomes_champion_with_the_numbers_of_the_old(spark: SparkSession, store: Path):
    crown(BETTER)

    done = go(spark, TWIN)

    assert done.promoted
    assert done.champion not in {BETTER, TWIN}
    assert shop.aliases() == {"champion": done.champion, "challenger": None, "previous": BETTER}
    new, old = (registry.open_version(version=str(version)).model for version in (done.champion, BETTER))
    lines = shop.raw_lines(spark)
    assert [row.prediction for row in new.transform(lines).collect()] == [
        row.prediction for row in old.transform(lines).collect()
    ]
    version = registry.read_version(version=str(done.champion))
    assert version.tags["renumbered_from"] == TWIN
    assert version.run_id == registry.read_version(version=TWIN).run_id
    parts = parse(new, version=str(done.champion))
    assert parts.numbers == (0, 1, 2, 3)
    assert parts.clustering.digest == version.tags["model_digest"]
    migration = pd.read_csv(StringIO(promotion_text("migration.csv")))
    assert migration["lines"].sum() == json.loads(version.tags["prepared_lines"])["test"]
    assert (migration["old_cluster"] == migration["new_cluster"]).all()
    matching = pd.read_csv(StringIO(promotion_text("matching.csv")))
    assert matching["number"].tolist() == [3, 0, 1, 2]
    assert matching["matched"].all()


def test_cluster_without_a_match_gets_a_number_that_none_has_had(spark: SparkSession, store: Path):
    crown(FAIR)

    done = go(spark, BETTER)

    parts = parse(registry.open_version(version=str(done.champion)).model, version="?")
    kept = {tuple(centre[:2]): n for centre, n in zip(parts.clustering.centres, parts.numbers, strict=True)}
    assert kept[70.5, 60.0] == 2
    assert kept[70.5, 2.0] == 1
    assert sorted(kept[2.5, quantity] for quantity in (2.0, 60.0)) == [3, 4]
    predictions = (
        registry.open_version(version=str(done.champion)).model.transform(shop.raw_lines(spark)).collect()
    )
    assert {row.prediction for row in predictions} == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("version", "gate"),
    [
        (WORSE, "not_worse"),
        (DEGENERATE, "largest_cluster_share"),
        (OTHER_LINES, "input_signature is for Quantity of type string"),
        (LOG, "feature_space is new"),
        (NO_SATURDAY, "weekdays is without a slot for Saturday"),
        (UNKNOWN, "no prepared table has it: run prepare again"),
    ],
)
def test_challenger_is_refused_and_the_alias_does_not_move(
    spark: SparkSession, store: Path, version: str, gate: str
):
    crown(BETTER)

    with pytest.raises(PromotionRefusedError, match=gate) as refused:
        go(spark, version)

    assert refused.value.exit_code == 3
    assert "\n" not in str(refused.value)
    assert shop.aliases() == {"champion": BETTER, "challenger": None, "previous": None}
    assert book.moves() == []
    tags = registry.read_version(version=version).tags
    assert tags["verdict"] == "refused"
    assert any(text.startswith("FAILED") for name, text in tags.items() if name.startswith("gate."))


def test_dry_run_prints_the_table_and_changes_nothing(
    spark: SparkSession, store: Path, capsys: pytest.CaptureFixture[str]
):
    crown(FAIR)
    registry.set_alias(alias="challenger", version=BETTER)
    before = shop.contents(store)

    go(spark, None, dry_run=True)
    with pytest.raises(PromotionRefusedError):
        go(spark, DEGENERATE, dry_run=True)

    assert shop.contents(store) == before
    table = capsys.readouterr().out
    assert "gate " in table
    assert "not_worse" in table
    assert "FAILED" in table


def test_new_feature_space_needs_a_person_to_accept_it(
    spark: SparkSession, store: Path, capsys: pytest.CaptureFixture[str]
):
    crown(BETTER)

    done = go(spark, LOG, accept_new_space=True)

    assert done.champion == LOG
    assert done.verdict is not None
    comparing = {gate.name: gate.verdict for gate in done.verdict.gates}
    assert comparing["not_worse"] == "not decided"
    assert comparing["feature_space"] == "passed"
    assert "not decided" in capsys.readouterr().out
    with pytest.raises(PromotionRefusedError, match="largest_cluster_share"):
        go(spark, DEGENERATE, accept_new_space=True)


def test_same_clusters_under_another_version_change_nothing_but_the_challenger(
    spark: SparkSession, store: Path
):
    go(spark, FAIR)
    go(spark, BETTER)
    champion = shop.aliases()["champion"]
    registry.set_alias(alias="challenger", version=BETTER)

    done = go(spark, None)

    assert (done.champion, done.promoted) == (champion, False)
    assert shop.aliases()["challenger"] is None


def test_promote_without_any_version_says_what_to_do(spark: SparkSession, workplace: Path):
    with pytest.raises(RegistryError, match="train or sweep first"):
        go(spark, None)


PLAIN_CLIENT = """
import json, sys
import mlflow.spark
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
lines = spark.read.parquet("lines.parquet")
model = mlflow.spark.load_model("models:/retail-clusters@champion")
rows = model.transform(lines).select("InvoiceNo", "Quantity", "prediction").collect()
assert not any(name.startswith("retail_clusters") for name in sys.modules)
print(json.dumps(sorted(map(list, rows))))
"""


def test_plain_client_without_this_project_gets_the_same_predictions(spark: SparkSession, store: Path):
    crown(FAIR)
    done = go(spark, BETTER)
    lines = shop.raw_lines(spark)
    lines.write.parquet(str(store.parent / "lines.parquet"))

    client = subprocess.run(
        [sys.executable, "-P", "-c", PLAIN_CLIENT],
        cwd=store.parent,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        | {"TMPDIR": str(store.parent)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert client.returncode == 0, client.stderr
    mine = registry.open_version(version=str(done.champion)).model.transform(lines)
    expected = sorted(list(row) for row in mine.select("InvoiceNo", "Quantity", "prediction").collect())
    assert json.loads(client.stdout.splitlines()[-1]) == expected


#: Judges, says so, and waits to be told before it asks for the right to move the champion.
PROMOTE = """
import sys
from retail_clusters.errors import RetailClustersError
from retail_clusters.promotion.ledger import Ledger
from retail_clusters.infra.spark import spark_session
from retail_clusters.infra import tracking
from retail_clusters.promotion.promote import promote
from retail_clusters.settings import Experiment

exclusive, asked = Ledger.exclusive, []

def when_told(ledger):
    asked.append(1)
    if len(asked) == 2:
        print("ready", flush=True)
        sys.stdin.readline()
    return exclusive(ledger)

Ledger.exclusive = when_told
tracking.connect(experiment="shop")
with spark_session("promote") as spark:
    try:
        promote(spark, experiment=Experiment(), version=sys.argv[1], dry_run=False, reason="race")
    except RetailClustersError as refused:
        print(refused)
        sys.exit(refused.exit_code)
"""


def start_promote(version: str, folder: Path) -> "subprocess.Popen[str]":
    # Not with -c: pyspark takes a main module without a file for its doctests, and exits.
    script = folder / "promote.py"
    script.write_text(PROMOTE, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, script, version],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"SPARK_MASTER": "local[1]"},
    )


def until_ready(process: "subprocess.Popen[str]") -> str:
    said: list[str] = []
    assert process.stdout
    for line in process.stdout:
        if line == "ready\n":
            return "".join(said)
        said.append(line)
    pytest.fail("".join(said))


def test_of_two_promotions_at_once_one_wins_and_the_other_says_why_it_did_not(
    spark: SparkSession, store: Path
):
    crown(FAIR)
    other = start_promote(BETTER, store.parent)
    judged = until_ready(other)

    champion = go(spark, TWIN).champion
    told = other.communicate("go\n")[0]

    assert "not_worse" in judged
    assert other.returncode == 3
    assert f"champion must still be version {FAIR}" in told
    assert f"but it is version {champion} by now" in told
    assert registry.version_named(alias="champion") == champion
    assert [(move.before, move.after, move.state) for move in book.moves()] == [(FAIR, champion, ledger.DONE)]


@pytest.mark.real
def test_retraining_on_the_real_data_keeps_the_numbers_of_matching_clusters(
    spark: SparkSession, workplace: Path, real_data: Path
):
    bounds = Bounds(min_test_silhouette=-1, margin=2, max_cluster_share=1)
    first, second = (Experiment(k=58, seed=seed, promotion=bounds) for seed in (1, 2))
    champion = train(spark, data=str(real_data), experiment=first)
    promote(spark, experiment=first, version=None, dry_run=False, reason="first")
    challenger = train(spark, data=str(real_data), experiment=second)

    done = promote(spark, experiment=second, version=None, dry_run=False, reason="another seed")

    migration = pd.read_csv(StringIO(promotion_text("migration.csv")))
    matching = pd.read_csv(StringIO(promotion_text("matching.csv")))
    assert migration["lines"].sum() == challenger.test.lines == champion.test.lines
    matched = set(matching.loc[matching["matched"], "number"])
    stays = migration["old_cluster"] == migration["new_cluster"]
    for column in ("old_cluster", "new_cluster"):
        lines = migration[migration[column].isin(matched)]
        assert lines["lines"][stays].sum() >= 0.95 * lines["lines"].sum()
    assert migration["lines"][stays].sum() > 0.5 * migration["lines"].sum()
    new = registry.open_version(version=str(done.champion)).model
    old = registry.open_version(version=champion.version).model
    lines = csv_files.read_lines(spark, csv_files.find_files(str(real_data))[-60:])
    good = invoices.good(invoices.parse(lines)).withColumn("id", F.monotonically_increasing_id()).cache()
    one, other = (each.transform(good).select("id", "prediction") for each in (old, new))
    both = one.join(other.withColumnRenamed("prediction", "renumbered"), "id").toPandas()
    kept = both[both["renumbered"].isin(matched)]
    assert (kept["prediction"] == kept["renumbered"]).mean() >= 0.95
