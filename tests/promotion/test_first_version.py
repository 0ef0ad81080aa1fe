"""Models that the first version registered are champions and challengers beside those of today."""

from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
from pyspark.sql import SparkSession

from retail_clusters.errors import RegistryError
from retail_clusters.features import interface
from retail_clusters.promotion.promote import promote
from retail_clusters.registry.models import OPTIONAL
from retail_clusters.settings import Experiment, Promotion
from tests import examples, shop
from tests.shop import registry

#: What the first version registered: all eight columns of a line, each of its own type.
INTERFACE = replace(
    interface.interface(examples.UNSCALED.question),
    inputs={name: kind + OPTIONAL for name, kind in interface.RAW_LINES.items()},
)


def test_model_of_the_first_version_is_champion_and_is_followed_by_one_of_today(
    spark: SparkSession, workplace: Path
):
    centres = np.hstack([np.array(shop.FAIR), np.full((len(shop.FAIR), 2), 0.5)])
    model = examples.first_version(spark, centres, days=("Friday", "Monday"))
    with mlflow.start_run():
        old = registry.register(model, interface=INTERFACE, metadata={}, tags={})
    registry.set_alias(alias="champion", version=old)
    new = shop.register(shop.model(spark, shop.BETTER))
    assert interface.open_model(registry, version=old).scores_lines

    promote(spark, Experiment(promotion=Promotion(accept_new_space=True)), version=new, reason="better")

    assert shop.aliases() == {"champion": new, "challenger": None, "previous": old}
    with pytest.raises(RegistryError, match=r"of a release before declared features.*: train again"):
        promote(spark, Experiment(), version=old, reason="back")
