from pathlib import Path

import pytest

from retail_clusters.errors import InputError
from retail_clusters.serving.state import Batch, open_state


def batch(number: int) -> Batch:
    return Batch(
        batch_id=number, timestamp=number, model_version="1", files=1, metrics={"rows_in": 5.0}, counts=None
    )


def test_batches_and_what_is_sent_outlive_the_process(tmp_path: Path) -> None:
    with open_state(tmp_path / "checkpoint", output=tmp_path / "output") as state:
        state.remember_run("run", "store")
        for number in range(3):
            state.record(batch(number))
        state.mark_sent(1)
    with open_state(tmp_path / "checkpoint", output=tmp_path / "output") as again:
        assert again.batches == state.batches
        assert again.unsent == [batch(2)]
        assert (again.identity.run_id, again.identity.tracking_uri) == ("run", "store")


def test_points_go_to_another_run_from_the_first_one_on(tmp_path: Path) -> None:
    with open_state(tmp_path / "checkpoint", output=tmp_path / "output") as state:
        state.remember_run("run", "store")
        state.record(batch(0))
        state.mark_sent(0)
        state.remember_run("run", "store")
        assert not state.unsent
        state.remember_run("other", "elsewhere")
        assert state.unsent == [batch(0)]


def test_old_records_go_once_they_are_sent(tmp_path: Path) -> None:
    with open_state(tmp_path / "checkpoint", output=tmp_path / "output") as state:
        for number in (0, 1, 1001):
            state.record(batch(number))
        assert len(state.unsent) == 3
        state.mark_sent(1001)
        assert sorted(state.batches) == [1001]
        assert [file.name for file in (tmp_path / "checkpoint" / "batches").iterdir()] == ["1001.json"]


def test_a_second_scorer_on_the_same_checkpoint_is_refused(tmp_path: Path) -> None:
    with (
        open_state(tmp_path / "checkpoint", output=tmp_path / "output"),
        pytest.raises(InputError, match="one scorer at a time"),
        open_state(tmp_path / "checkpoint", output=tmp_path / "output"),
    ):
        pass


def test_output_of_another_checkpoint_is_refused(tmp_path: Path) -> None:
    with open_state(tmp_path / "one", output=tmp_path / "output"):
        pass
    with (
        pytest.raises(InputError, match="holds batches of another checkpoint"),
        open_state(tmp_path / "two", output=tmp_path / "output"),
    ):
        pass


def test_a_checkpoint_that_has_begun_needs_its_output(tmp_path: Path) -> None:
    (tmp_path / "checkpoint" / "stream" / "offsets").mkdir(parents=True)
    with (
        pytest.raises(InputError, match="holds no batch of the checkpoint"),
        open_state(tmp_path / "checkpoint", output=tmp_path / "new"),
    ):
        pass
