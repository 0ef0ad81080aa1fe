import pandas as pd

from retail_clusters.question import Question
from retail_clusters.report.card import LONGEST, Card, about_model
from retail_clusters.report.rules import Condition, Rule, Rules
from tests.report.records import CUSTOMERS


def card(clusters: int = 2, **changes: object) -> Card:
    row = {
        "name": "high spend",
        "records": 100,
        "share": 1 / clusters,
        **{f"spend_{at}": 1234.5 for at in ("p05", "median", "p95")},
        "channel_top": "web",
        "channel_top_share": 0.75,
        "cancelled_mean": 0.01,
    }
    told = {
        "model": "retail-clusters",
        "version": "6",
        "run_id": "abc",
        "tags": {
            "data_digest": "0123",
            "gate.clusters": "passed: 4, must be at least 2",
            "cluster_names": '{"1": "Big spenders"}',
            "model_digest": "4567",
            "records": '{"train": 1000, "validation": 200, "test": 300}',
            "left_out": "135,080 lines by no_customer",
            "shared_with_training": "90 customers and 7 lines",
        },
        "settings": {
            "data": "data/by-day",
            "k": "20",
            "split.train_until": "2011-07-01",
            "split.validate_until": "2011-10-01",
            "features.spend.sql": "sum(cost)",
            "promotion.margin": "0.05",
        },
        "metrics": {"validation_silhouette": 0.75312345},
        "clusters": pd.DataFrame([{"cluster": number} | row for number in range(clusters)]),
        "question": CUSTOMERS,
        "rules": Rules((Rule(1, (Condition("spend", ">", 500.0),), 0.6, 0.97),), 0.9),
    }
    return Card(**(told | changes))  # type: ignore[arg-type]


def test_card_tells_all_that_a_user_must_know():
    text = card().to_markdown()

    assert text.startswith("# retail-clusters, version 6\n")
    for part in (
        "KMeans clusters of customers by recency, spend, channel.",
        "A record is all lines of one CustomerID within 180 days.",
        "no_customer (CustomerID IS NULL); here 135,080 lines by no_customer.",
        '| spend | `sum(cost)` | clip: [0.001, 0.999]; scale: ["log", "standard"] |',
        "| channel | `max(Country)` | encode: onehot; top: 2 |",
        "| country | `max(Country)` | described, not clustered on |",
        "`data/by-day`, digest `0123`",
        "| train | 180 days before 2011-07-01 | 1,000 |",
        "| validation | 180 days before 2011-07-01, 20.0% that never train | 200 |",
        "end of the data: do segments hold over time? 90 customers and 7 lines train, too | 300 |",
        "| k | 20 |",
        "| validation_silhouette | 0.753123 |",
        "| cluster | name | customers | share | spend 5 / 50 / 95 % | channel, most often | cancelled |",
        "| 0 | high spend | 100 | 50.0% | 1,234.50 / 1,234.50 / 1,234.50 | web (75.0%) | 1.0% |",
        "| clusters | passed: 4, must be at least 2 |",
        "| 1 | Big spenders | 100 |",
        "- 1 Big spenders: spend > 500 (60.0% of the training customers, right for 97.0% of them)",
        "As rules, a cluster each (one rule puts 90.0% of the test customers where the model does;",
        'mlflow.spark.load_model("models:/retail-clusters/6")',
        "# CustomerID and prediction, the number of the cluster",
        'mlflow.pyfunc.load_model("models:/retail-clusters/6")',
        "The largest cluster holds 50.0% of the training customers.",
        "Any channel that no training customer has counts as none, or among the others.",
    ):
        assert part in text
    assert "promotion.margin" not in text


def test_description_fits_the_registry_and_keeps_the_end():
    long = card(clusters=80)

    assert len(long.to_markdown()) > LONGEST
    assert len(long.to_description()) <= LONGEST
    assert "## Limits" in long.to_description()
    assert "smaller clusters are in `profile.csv`" in long.to_description()
    assert "| setting |" not in long.to_description()


def test_description_is_cut_when_nothing_else_helps():
    long = card(metrics={f"metric_of_a_long_name_{number}": 0.5 for number in range(200)}).to_description()

    assert len(long) <= LONGEST
    assert long.endswith("The whole card: `model_card.md` of the promotion.\n")


def test_card_of_a_version_that_no_promotion_has_judged_and_whose_run_is_gone_still_writes():
    text = card(tags={"records": '{"train": 1000}'}, settings={}, metrics={}).to_markdown()

    assert "No promotion has judged this version." in text
    assert "| train | 180 days before ? | 1,000 |" in text


def test_card_of_lines_speaks_of_lines_and_of_days():
    text = card(
        question=Question(), tags={"prepared_lines": '{"train": 1000, "validation": 200, "test": 300}'}
    )
    for part in (
        "A record is an invoice line. Every line counts.",
        "| part | days | lines |",
        "| validation | 2011-07-01 to before 2011-10-01 | 200 |",
        "| price | `UnitPrice` | scale: log; fill: 0.0 |",
        "# adds prediction, the number of the cluster",
        "Any weekday that no training line has counts as none",
    ):
        assert part in text.to_markdown()


def test_registered_model_says_what_it_clusters():
    assert about_model(CUSTOMERS).startswith("KMeans clusters of customers by recency, spend, channel:")
