"""Folders of this machine under a scheme that is not `file`, as Hadoop mounts them: a store, to the project.

with_shop = mounted(tmp_path)            # viewfs://shop/data is tmp_path/shop/data
subprocess.run(…, env=… | with_shop.environment)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

STORE = "viewfs://shop"
_LINK = "fs.viewfs.mounttable.shop.link"


@dataclass(frozen=True)
class Shop:
    """A store that holds `data` and `tmp`, and is Hadoop's default: `on_disk` is where it really is."""

    on_disk: Path
    environment: dict[str, str]

    def path(self, location: str) -> Path:
        """Return where a location of the store is on this machine's disks."""
        return self.on_disk / location.removeprefix(f"{STORE}/")


def mounted(folder: Path) -> Shop:
    """Make the store below a folder, and the Spark configuration that mounts it."""
    on_disk, configuration = folder / "shop", folder / "spark-conf"
    links = {}
    for name in ("data", "tmp"):
        (on_disk / name).mkdir(parents=True)
        links[f"spark.hadoop.{_LINK}./{name}"] = (on_disk / name).as_uri()
    configuration.mkdir()
    settings = links | {"spark.hadoop.fs.defaultFS": f"{STORE}/"}
    (configuration / "spark-defaults.conf").write_text(
        "".join(f"{key} {value}\n" for key, value in settings.items()), encoding="utf-8"
    )
    return Shop(on_disk, {"SPARK_CONF_DIR": str(configuration)})


def in_session(spark: SparkSession, folder: Path) -> str:
    """Mount the tests' own folders in a session that is there; return where this one is on the store.

    Hadoop keeps a store as it first was, so all tests of a process mount the same.
    """
    root = folder.parents[1]
    spark.sparkContext._jsc.hadoopConfiguration().set(f"{_LINK}./data", root.as_uri())
    return f"{STORE}/data/{folder.relative_to(root)}"


@contextmanager
def as_default(spark: SparkSession, folder: Path) -> Iterator[str]:
    """Let the store be Hadoop's default for a while; lend where a folder of the tests is on it."""
    location = in_session(spark, folder)
    settings = spark.sparkContext._jsc.hadoopConfiguration()
    before = settings.get("fs.defaultFS")
    settings.set("fs.defaultFS", f"{STORE}/")
    try:
        yield location
    finally:
        settings.set("fs.defaultFS", before)
