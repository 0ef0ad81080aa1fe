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
    """Start a session, let its JVM write the archive when it ends, and put it in place."""
    draft = ARCHIVE.with_suffix(".making")
    options = {"SPARK_SUBMIT_OPTS": f"-XX:ArchiveClassesAtExit={draft} -Xlog:disable"}
    # The JVM outlives the script, but holds its output open: this returns when both have ended.
    subprocess.run(
        [sys.executable, "-c", _SCRIPT], env=os.environ | options, capture_output=True, check=False
    )
    if draft.is_file():
        draft.replace(ARCHIVE)
    else:
        print("this Java writes no archive of classes: the tests run without one, and take longer")


if __name__ == "__main__":
    main()
