from pathlib import Path

import pytest

from retail_clusters.errors import InputError
from retail_clusters.serving.state import open_state


def opened(place: Path, *, checkpoint: str = "checkpoint", source: str = "in"):  # type: ignore[no-untyped-def]
    return open_state(str(place / checkpoint), output=str(place / "output"), source=str(place / source))


def test_who_a_scorer_is_and_what_is_sent_outlive_the_process(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        state.remember_run("run", "store")
        state.mark_sent(1)
    with opened(tmp_path) as again:
        assert again.identity == state.identity
        assert again.sent_until == 1


def test_points_go_to_another_run_from_the_first_one_on(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        state.remember_run("run", "store")
        state.mark_sent(0)
        state.remember_run("run", "store")
        assert state.sent_until == 0
        state.remember_run("other", "elsewhere")
        assert state.sent_until == -1


def test_a_second_scorer_on_the_same_checkpoint_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(InputError, match="one scorer at a time"), opened(tmp_path):
        pass


def test_output_of_another_checkpoint_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    with (
        pytest.raises(InputError, match="holds batches of another checkpoint"),
        opened(tmp_path, checkpoint="other"),
    ):
        pass


def test_output_of_another_source_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    with (
        pytest.raises(InputError, match="must hold the lines of one source"),
        opened(tmp_path, source="else"),
    ):
        pass


def test_a_checkpoint_that_has_begun_needs_its_output(tmp_path: Path) -> None:
    (tmp_path / "checkpoint" / "stream" / "offsets").mkdir(parents=True)
    with pytest.raises(InputError, match="holds no batch of the checkpoint"), opened(tmp_path):
        pass


def test_an_output_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="/proc/out gave"),
        open_state(str(tmp_path / "checkpoint"), output="/proc/out", source=str(tmp_path)),
    ):
        pass
