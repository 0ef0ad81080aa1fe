"""The check that there is a Java to run Spark."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

from retail_clusters.errors import InputError

JAVA_NEEDED: Final = 17


def check_java() -> None:
    """Refuse to go on without the Java that Spark needs; under spark-submit it runs already.

    Raises:
        InputError: there is no Java, or an older one than 17.
    """
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        return
    home = os.environ.get("JAVA_HOME")
    _check(str(Path(home, "bin", "java")) if home else shutil.which("java"))


@cache
def _check(java: str | None) -> None:
    hint = "install one (Debian: apt-get install openjdk-17-jre-headless) or set JAVA_HOME"
    try:
        banner = subprocess.run([java or "java", "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as missing:
        raise InputError(f"Spark needs Java {JAVA_NEEDED} or newer, but found none: {hint}") from missing
    found = re.search(r'version "(?:1\.)?(\d+)', banner.stderr + banner.stdout)
    if not found or int(found[1]) < JAVA_NEEDED:
        version = found[1] if found else "an unknown version"
        raise InputError(f"Spark needs Java {JAVA_NEEDED} or newer, but {java} is Java {version}: {hint}")
