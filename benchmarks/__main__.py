"""Run every benchmark and write docs/benchmarks.md."""

import argparse
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).parents[1]
REPORT: Final = PROJECT / "docs" / "benchmarks.md"
SECTIONS: Final = {
    "commands": "Whole commands, beside the first version",
    "sweep": "The whole space of K and seed",
    "trial": "One pair: fit and evaluate",
    "quality": "Quality is not paid for speed",
    "stability": "Are the clusters stable?",
    "prepare": "Preparing",
    "scoring": "Scoring a stream",
    "drift": "Drift: false alarms, and prices that rise",
    "purchases": "Spend per customer and day as a stream",
    "segments": "Segments of millions of customers",
    "sizes": "Ten and a hundred times the lines",
}


def main() -> None:
    """Measure the sections that are named (default: all), each in a process of its own."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("sections", nargs="*", choices=[[], *SECTIONS], help="default: all")
    chosen = parser.parse_args().sections or list(SECTIONS)
    parts = _earlier() | {name: _measure(name) for name in chosen}
    text = "\n\n".join(parts[name] for name in SECTIONS if name in parts)
    REPORT.write_text(f"# Benchmarks\n\n`make bench` wrote this page.\n\n{text}\n", encoding="utf-8")
    print(f"wrote {REPORT.relative_to(PROJECT)}")


def _measure(name: str) -> str:
    print(f"== {SECTIONS[name]}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    print(done.stdout, flush=True)
    return f"## {SECTIONS[name]}\n\n<!-- {name} -->\n{_machine()}\n\n{done.stdout.strip()}"


def _machine() -> str:
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("pyspark", "mlflow", "optuna", "scikit-learn")
    )
    day = datetime.now(UTC).date()
    return (
        f"{day}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {packages}"
    )


def _earlier() -> dict[str, str]:
    """Keep the sections that are not measured this time."""
    if not REPORT.is_file():
        return {}
    sections = REPORT.read_text(encoding="utf-8").split("\n## ")[1:]
    return {
        name: f"## {section.strip()}"
        for section in sections
        for name in SECTIONS
        if f"<!-- {name} -->" in section
    }


if __name__ == "__main__":
    main()
