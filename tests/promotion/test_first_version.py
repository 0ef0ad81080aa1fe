"""Models that the first version registered are champions and challengers beside those of today."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession

from retail_clusters.features import interface
from retail_clusters.promotion.promote import promote
from retail_clusters.registry.models import OPTIONAL
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
    centres = np.hstack([np.array(shop.FAIR), np.full((len(shop.FAIR), 2), 0.5)])
    model = examples.first_version(spark, centres, days=("Friday", "Monday"))
    old = shop.register(model, interface=INTERFACE, carries_rows=False)
    registry.set_alias(alias="champion", version=old)
    new = shop.register(shop.model(spark, shop.BETTER, how=Features()))
    assert interface.open_model(registry, version=old).inputs == INTERFACE.inputs

    promote(spark, Experiment(), version=new, reason="better")

    champion = shop.aliases()["champion"]
    assert champion not in {None, old}
    assert shop.aliases()["previous"] == old
    assert registry.read_version(version=str(champion)).tags["gate.feature_space"].startswith("passed")
