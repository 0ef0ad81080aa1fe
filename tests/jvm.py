"""What the tests' JVMs start with: options for a short life, and an archive of the classes that Spark loads.

From the archive a JVM starts in half the time. `make test` makes it once for an environment. A JVM that it
does not fit ignores it; where none can be made (OpenJ9, or a build without the JDK's own archive), the
tests run without.
"""

import os
import subprocess
import sys
from pathlib import Path

ARCHIVE = Path(sys.prefix, "spark-classes.jsa")

# Tests run new code a few times, in several small JVMs at once: Java's second compiler, and a collector
# with threads of its own, cost them more than they give.
SHORT_LIVED = (
    "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m "
    "-XX:+UseSerialGC -XX:MetaspaceSize=256m -Xmn512m -Xlog:disable"
)

_SCRIPT = """
from retail_clusters.infra.spark import spark_session
with spark_session("classes") as spark:
    spark.range(10).selectExpr("sum(id)").collect()
"""


def options() -> str:
    """Return the options of a test's JVM, for SPARK_SUBMIT_OPTS."""
    return f"{SHORT_LIVED} -XX:SharedArchiveFile={ARCHIVE}" if ARCHIVE.is_file() else SHORT_LIVED


def main() -> None:
    """Let a JVM write the archive when it ends; put it in place when another starts from it."""
    draft = ARCHIVE.with_suffix(".making")
    _start(f"-XX:ArchiveClassesAtExit={draft}")
    if draft.is_file() and _start(f"-XX:SharedArchiveFile={draft}"):
        draft.replace(ARCHIVE)
    else:
        draft.unlink(missing_ok=True)
        print("this Java makes no archive of classes: the tests run without one, and take longer")


def _start(option: str) -> bool:
    """Run the script to its end; its JVM outlives it, but holds its output open, so that has ended, too."""
    environment = os.environ | {"SPARK_SUBMIT_OPTS": f"{SHORT_LIVED} {option}"}
    done = subprocess.run([sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, check=False)
    return done.returncode == 0


if __name__ == "__main__":
    main()
