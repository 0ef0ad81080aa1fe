"""The package on its way to executors, whose functions import it."""

import atexit
import shutil
import tempfile
import zipfile
from pathlib import Path

from pyspark import SparkContext

import retail_clusters
from retail_clusters.infra.spark_settings import is_one_process

_shipped: set[str] = set()


def ship_package(context: SparkContext) -> None:
    """Send this package to the context's executors, once; in a local master they have it."""
    source = Path(retail_clusters.__file__).parent
    if is_one_process(context.master) or context.applicationId in _shipped or not source.is_dir():
        return  # not a folder: the package runs from an archive that spark-submit has sent
    _shipped.add(context.applicationId)
    folder = Path(tempfile.mkdtemp(prefix="retail-clusters-package-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    archive = folder / "retail_clusters.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(source.rglob("*.py")):
            packed.write(file, Path(source.name, file.relative_to(source)))
    context.addPyFile(str(archive))
