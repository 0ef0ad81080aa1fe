"""Folders of this machine under a scheme that is not `file`, as Hadoop mounts them: no disk, to the project.

with_shop = mounted(tmp_path)            # viewfs://shop/data is tmp_path/shop/data
subprocess.run(…, env=… | with_shop.environment)
"""

from dataclasses import dataclass
from pathlib import Path

STORE = "viewfs://shop"


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
        links[f"spark.hadoop.fs.viewfs.mounttable.shop.link./{name}"] = (on_disk / name).as_uri()
    configuration.mkdir()
    settings = links | {"spark.hadoop.fs.defaultFS": f"{STORE}/"}
    (configuration / "spark-defaults.conf").write_text(
        "".join(f"{key} {value}\n" for key, value in settings.items()), encoding="utf-8"
    )
    return Shop(on_disk, {"SPARK_CONF_DIR": str(configuration)})
