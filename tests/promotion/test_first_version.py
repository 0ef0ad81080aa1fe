"""Models that the first version registered are champions and challengers beside those of today."""

import mlflow
import numpy as np
from pyspark.sql import SparkSession

from retail_clusters.promotion import promote
from retail_clusters.promotion.promote import PromoteRequest
from retail_clusters.settings import Experiment, Features
from tests import examples, shop
from tests.shop import registry


def test_model_of_the_first_version_is_champion_and_is_followed_by_one_of_today(
    spark: SparkSession, workplace
):
    mlflow.set_experiment("shop")
    table = shop.prepare(spark)
    centres = np.hstack([np.array(shop.FAIR), np.full((len(shop.FAIR), 2), 0.5)])
    old = shop.register(
        examples.first_version(spark, centres, days=("Friday", "Monday")), table, k=len(centres)
    )
    new = shop.register(shop.model(spark, table, shop.BETTER, how=Features()), table, k=len(shop.BETTER))

    promote.run(spark, PromoteRequest(Experiment(), version=old, reason="from the first version"))
    assert shop.aliases()["champion"] == old
    promote.run(spark, PromoteRequest(Experiment(), version=new, reason="better"))

    champion = shop.aliases()["champion"]
    assert champion not in {None, old}
    assert shop.aliases()["previous"] == old
    assert registry.read_version(version=champion).tags["gate.feature_space"].startswith("passed")
