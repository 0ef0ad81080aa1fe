"""Training cost over ten seeds, beside the first version's: speed is not paid for with quality."""

import statistics
import tempfile
from pathlib import Path

from benchmarks.baseline import checkout, python
from benchmarks.common import DATA, session, training_context, verdict

_THEIRS = """
import statistics
from benchmarks import common
from benchmarks.common import session, workbench
from retail_clusters.core import clustering, quality
common.DATA = DATA
with session() as spark:
    bench = workbench(spark)
    for k in (10, 20, 40):
        lloyd = bench.experiment.lloyd
        fits = [clustering.fit(bench.training, k=k, seed=s, settings=lloyd) for s in range(10)]
        costs = [quality.cost(bench.training.rows, clustering=fitted) for fitted in fits]
        print("cost", k, repr(statistics.median(costs)))
"""


def main() -> None:
    """Print the median training costs and their ratio."""
    first = checkout()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "costs.py")
        script.write_text(
            f"import sys\nsys.path.insert(0, {str(first)!r})\nDATA = {DATA!r}\n{_THEIRS}", encoding="utf-8"
        )
        printed = python(script, folder=Path(folder), project=first)
    theirs = {
        int(line.split()[1]): float(line.split()[2])
        for line in printed.splitlines()
        if line.startswith("cost ")
    }
    with session() as spark:
        context = training_context(spark)
        print("| K | 565f958 | this version | ratio | at most 1.00 |\n|---:|---:|---:|---:|---|")
        for k, base in theirs.items():
            ours = statistics.median(context.fit(k=k, seed=seed).train_cost for seed in range(10))
            print(f"| {k} | {base:,.0f} | {ours:,.0f} | {ours / base:.6f} | {verdict(ours / base, 1.0)} |")


if __name__ == "__main__":
    main()
