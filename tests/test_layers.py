import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def test_import_contracts_are_kept():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_only_the_session_module_builds_a_session():
    builders = [
        file.name
        for file in (PROJECT / "src").rglob("*.py")
        if "SparkSession.builder" in file.read_text(encoding="utf-8")
    ]
    assert builders == ["spark.py"]
