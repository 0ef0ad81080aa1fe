"""An archive of the classes that Spark loads, from which a JVM starts in half the time.

`make` writes it once for an environment. A Java that it does not fit ignores it; where none can be made
(OpenJ9, or a build without the JDK's own archive), everything runs without.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

ARCHIVE: Final = Path(sys.prefix, "spark-classes.jsa")

#: Java tells a misfit on its output, where nobody can use it.
_QUIET: Final = "-Xlog:disable"

#: What every command makes a JVM do: run a query with a shuffle, write a table and read it.
_SCRIPT: Final = """
import sys, tempfile
from retail_clusters.infra import spark as session
session.JAVA_OPTIONS = sys.argv[1]
with tempfile.TemporaryDirectory() as folder, session.spark_session("classes") as spark:
    lines = spark.range(100).selectExpr("cast(id AS string) AS text", "id % 7 AS part")
    lines.groupBy("part").agg({"text": "count"}).write.parquet(f"file://{folder}/table")
    spark.read.parquet(f"file://{folder}/table").cache().collect()
"""


def options() -> str:
    """Return the options of a JVM that is to start from the archive; empty when there is none."""
    return f"-XX:SharedArchiveFile={ARCHIVE} {_QUIET}" if ARCHIVE.is_file() else ""


def make() -> bool:
    """Let a JVM write the archive when it ends; put it in place if another starts from it. Tell whether."""
    draft = ARCHIVE.with_suffix(".making")
    try:
        made = _run(f"-XX:ArchiveClassesAtExit={draft}") and draft.is_file()
        if made := made and _run(f"-XX:SharedArchiveFile={draft}"):
            draft.replace(ARCHIVE)
    finally:
        draft.unlink(missing_ok=True)
    return made


def _run(option: str) -> bool:
    """Run the script to its end; its JVM outlives it, but holds its output open, so that has ended, too."""
    command = [sys.executable, "-c", _SCRIPT, f"{option} {_QUIET}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    if not make():
        print("this Java makes no archive of Spark's classes: commands start without one, and take longer")
