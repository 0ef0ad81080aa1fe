import csv
import io
from pathlib import Path

import pytest

from retail_clusters import schema
from retail_clusters.data.generate import generate
from retail_clusters.errors import InputError

SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "by-day"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_generate_remakes_the_bundled_sample_to_the_byte(tmp_path: Path):
    generate(output=str(tmp_path / "by-day"))

    made, bundled = contents(tmp_path / "by-day"), contents(SAMPLE)
    assert sorted(made) == sorted(bundled)
    assert [name for name in made if made[name] != bundled[name]] == []


def test_bundled_sample_is_sixty_days_and_small_enough_to_commit():
    sizes = [path.stat().st_size for path in SAMPLE.iterdir()]

    assert len(sizes) == 60
    assert 2_000_000 <= sum(sizes) <= 3_000_000


def test_generate_writes_one_file_a_day_with_the_header_of_the_real_data(tmp_path: Path):
    generate(output=str(tmp_path / "new" / "folder"), days=3, lines_per_day=5, seed=1)

    made = contents(tmp_path / "new" / "folder")
    assert sorted(made) == ["2010-12-01.csv", "2011-06-06.csv", "2011-12-09.csv"]
    assert {content.partition(b"\n")[0] for content in made.values()} == {",".join(schema.COLUMNS).encode()}


def test_generate_quotes_as_the_real_files_do():
    text = "".join(path.read_text() for path in sorted(SAMPLE.iterdir()))
    again = io.StringIO()
    csv.writer(again, lineterminator="\n").writerows(csv.reader(io.StringIO(text, newline="")))

    assert ',"RECORD FRAME 7"" SINGLE SIZE ",' in text
    assert ',"KEY FOB , SHED",' in text
    assert again.getvalue() == text


def test_generate_leaves_nothing_but_the_folder_and_says_what_it_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    generate(output=str(tmp_path / "data"), days=4, lines_per_day=20, seed=3)

    lines = sum(content.count(b"\n") - 1 for content in contents(tmp_path / "data").values())
    said = capsys.readouterr()
    assert said.out == f"Generated {lines} invoice lines of 4 days in {tmp_path / 'data'}, seed 3\n"
    assert said.err == ""
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_generate_takes_an_empty_folder_and_refuses_one_with_content(tmp_path: Path):
    (tmp_path / "data").mkdir()
    generate(output=str(tmp_path / "data"), days=3, lines_per_day=1, seed=1)
    before = contents(tmp_path / "data")

    with pytest.raises(InputError, match=r"new or empty, but .*data is not; remove it"):
        generate(output=str(tmp_path / "data"), days=3, lines_per_day=1, seed=2)
    assert contents(tmp_path / "data") == before


@pytest.mark.parametrize("wrong", [{"days": 2}, {"days": 322}, {"lines_per_day": 0}, {"seed": -1}])
def test_generate_refuses_impossible_arguments_and_writes_nothing(tmp_path: Path, wrong: dict[str, int]):
    with pytest.raises(InputError):
        generate(output=str(tmp_path / "data"), **wrong)
    assert list(tmp_path.iterdir()) == []


def test_generate_in_spark_makes_the_same_bytes(spark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    generate(output=str(tmp_path / "here"), days=4, lines_per_day=30, seed=5)
    monkeypatch.setattr("retail_clusters.data.generate._LARGE", 1)
    generate(output=str(tmp_path / "spark"), days=4, lines_per_day=30, seed=5)

    assert contents(tmp_path / "spark") == contents(tmp_path / "here")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "spark"]
