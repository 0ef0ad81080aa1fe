"""An archive of the classes that Spark loads: from it a JVM starts in half the time, and tests start many.

`make test` makes it once for an environment. A JVM that it does not fit ignores it; where
none can be made (OpenJ9, or a build without the JDK's own archive), the tests run without.
"""

import os
import subprocess
import sys
from pathlib import Path

ARCHIVE = Path(sys.prefix, "spark-classes.jsa")
OPTIONS = f"-XX:SharedArchiveFile={ARCHIVE} -Xlog:disable"

_SCRIPT = """
from retail_clusters.io.session import spark_session
with spark_session("classes") as spark:
    spark.range(10).selectExpr("sum(id)").collect()
"""


def main() -> None:
    """Let a JVM write the archive when it ends; put it in place when another starts from it."""
    draft = ARCHIVE.with_suffix(".making")
    _start(f"-XX:ArchiveClassesAtExit={draft} -Xlog:disable")
    if draft.is_file() and _start(f"-XX:SharedArchiveFile={draft} -Xlog:disable"):
        draft.replace(ARCHIVE)
    else:
        draft.unlink(missing_ok=True)
        print("this Java makes no archive of classes: the tests run without one, and take longer")


def _start(options: str) -> bool:
    """Run the script to its end; its JVM outlives it, but holds its output open, so that has ended, too."""
    environment = os.environ | {"SPARK_SUBMIT_OPTS": options}
    done = subprocess.run([sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, check=False)
    return done.returncode == 0


if __name__ == "__main__":
    main()
