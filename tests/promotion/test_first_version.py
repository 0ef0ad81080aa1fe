"""Models that the first version registered are champions and challengers beside those of today."""

import json
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
from pyspark.sql import SparkSession

from retail_clusters.features import interface
from retail_clusters.features.model import centres_digest
from retail_clusters.promotion import promote
from retail_clusters.promotion.promote import PromoteRequest
from retail_clusters.registry.logged_model import OPTIONAL
from retail_clusters.settings import Experiment, Features
from tests import examples, shop
from tests.shop import registry

#: What the first version registered: all eight columns of a line, each of its own type.
INTERFACE = replace(
    interface.INTERFACE,
    inputs={name: kind + OPTIONAL for name, kind in interface.RAW_LINES.items()},
)


def test_model_of_the_first_version_is_champion_and_is_followed_by_one_of_today(
    spark: SparkSession, workplace: Path
):
    mlflow.set_experiment("shop")
    table = shop.prepare(spark)
    centres = np.hstack([np.array(shop.FAIR), np.full((len(shop.FAIR), 2), 0.5)])
    with mlflow.start_run():
        mlflow.log_params({"k": "3", "split.train_until": "2011-07-01", "features.scaling": "none"})
        old = registry.register(
            registry.log(
                examples.first_version(spark, centres, days=("Friday", "Monday")), interface=INTERFACE
            ),
            tags={
                "data_digest": table.data_digest,
                "prepared_lines": json.dumps(dict(table.lines)),
                "model_digest": centres_digest(centres),
                "usable": "true",
            },
        )
    new = shop.register(shop.model(spark, table, shop.BETTER, how=Features()), table, k=len(shop.BETTER))
    assert interface.open_model(registry, version=old).inputs == INTERFACE.inputs

    promote.run(spark, PromoteRequest(Experiment(), version=old, reason="from the first version"))
    assert shop.aliases()["champion"] == old
    promote.run(spark, PromoteRequest(Experiment(), version=new, reason="better"))

    champion = shop.aliases()["champion"]
    assert champion not in {None, old}
    assert shop.aliases()["previous"] == old
    assert registry.read_version(version=str(champion)).tags["gate.feature_space"].startswith("passed")
