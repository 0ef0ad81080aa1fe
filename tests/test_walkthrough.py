"""The notebook `experiments/walkthrough.ipynb`, run from top to bottom."""

import ast
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from tests.conftest import PROJECT, SAMPLE

#: Wednesdays, Tuesdays and Mondays, in each part of the split.
FEW_DAYS = ("2011-04-06", "2011-04-12", "2011-04-25", "2011-07-04", "2011-08-10", "2011-08-23", "2011-11-01")
NOTEBOOK = PROJECT / "experiments" / "walkthrough.ipynb"


def cells() -> list[str]:
    """Return the code of the notebook, cell by cell."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_every_cell_runs_in_order_on_a_few_files_of_the_sample(
    spark: SparkSession, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    Path("data").mkdir()
    for day in FEW_DAYS:
        shutil.copy(SAMPLE / f"{day}.csv", "data")
    monkeypatch.setenv("DATA", "data")
    monkeypatch.setenv("FILES_A_TRIGGER", "3")
    names: dict[str, Any] = {}

    for number, source in enumerate(cells()):
        exec(compile(source, f"cell {number}", "exec"), names)

    found = names["figures"]
    assert found["differing"] == 0
    assert found["vector_size"] == 7 - (6 - len(found["labels"]))
    assert found["digests"] == 1
    by_spark, by_ours = found["silhouettes"][1:3]
    assert by_spark == pytest.approx(by_ours, abs=1e-9)
    shown = capsys.readouterr().out
    assert "StateStoreSave" in shown
    assert "after batch" in shown or "at the end" in shown


def execute(workplace: Path, *, data: Path) -> dict[str, Any]:
    """Run the notebook in a kernel of its own, as Jupyter does; return its figures."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    environment = os.environ | {"DATA": str(data), "FILES_A_TRIGGER": "20", "SPARK_MASTER": "local[2]"}
    client = NotebookClient(notebook, timeout=1_800, resources={"metadata": {"path": str(workplace)}})
    client.execute(env=environment)
    found: dict[str, Any] = ast.literal_eval(
        notebook.cells[-1].outputs[-1]["data"]["text/plain"].replace("\n", " ")
    )
    return found


@pytest.mark.soak
def test_the_notebook_runs_from_top_to_bottom_on_the_sample(workplace: Path):
    found = execute(workplace, data=SAMPLE)

    assert found["lines"] == [15_227, 14_848]
    assert found["differing"] == 0


@pytest.mark.soak
@pytest.mark.real
def test_the_notebook_shows_its_own_figures_on_the_real_data(workplace: Path, real_data: Path):
    found = execute(workplace, data=real_data)

    for then, today in found["batch_totals"] + found["stream_totals"]:
        assert float(today) == float(then)
    assert found["differing"] == 0
    assert found["lines"] == [245_903, 296_006]
    assert found["rows"][0] == 13_576
    assert found["labels"] == ["Thursday", "Tuesday", "Monday", "Wednesday", "Friday", "Sunday"]
    assert found["vector_size"] == 7
    assert found["digests"] == 1
    assert found["silhouettes"][0] == pytest.approx(0.9335, abs=1e-4)
    assert found["silhouettes"][1] == pytest.approx(found["silhouettes"][2], abs=1e-9)
