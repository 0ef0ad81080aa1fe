import pandas as pd

from retail_clusters.clustering.guardrails import Gate
from retail_clusters.report.card import LONGEST, Card


def card(clusters: int = 2, **changes: object) -> Card:
    row = {
        "name": "usual orders, usual price",
        "lines": 100,
        "share": 1 / clusters,
        "spend": 1234.5,
        **{f"{what}_{at}": 1.0 for what in ("price", "quantity") for at in ("p05", "median", "p95")},
        "cancellation_share": 0.01,
        "top_weekday": "Thursday",
    }
    told = {
        "model": "retail-clusters",
        "version": "6",
        "run_id": "abc",
        "tags": {
            "data_digest": "0123",
            "model_digest": "4567",
            "prepared_lines": '{"train": 1000, "validation": 200, "test": 300}',
        },
        "settings": {
            "data": "data/by-day",
            "k": "20",
            "split.train_until": "2011-07-01",
            "split.validate_until": "2011-10-01",
            "features.unseen_days": "keep",
            "promotion.margin": "0.05",
        },
        "metrics": {"validation_silhouette": 0.75312345},
        "clusters": pd.DataFrame([{"cluster": number} | row for number in range(clusters)]),
        "gates": [Gate("clusters", "4", "at least 2", True)],
    }
    return Card(**(told | changes))  # type: ignore[arg-type]


def test_card_tells_all_that_a_user_must_know():
    text = card().to_markdown()

    assert text.startswith("# retail-clusters, version 6\n")
    for part in (
        "`data/by-day`, digest `0123`",
        "before 2011-07-01 train",
        "before 2011-10-01 validate",
        "train 1,000, validation 200, test 300",
        "| k | 20 |",
        "| validation_silhouette | 0.753123 |",
        "| 0 | usual orders, usual price | 100 | 50.0% |",
        "| clusters | 4 | at least 2 | passed |",
        'mlflow.spark.load_model("models:/retail-clusters/6")',
        'mlflow.pyfunc.load_model("models:/retail-clusters/6")',
        "The largest cluster holds 50.0% of the training lines.",
        "A weekday that the training lines do not hold counts as none.",
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
    text = card(gates=[], settings={}, metrics={}).to_markdown()

    assert "No promotion has judged this version." in text
    assert "Lines before a day unknown train" in text
