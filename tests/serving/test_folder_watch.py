from pathlib import Path

import pytest

from retail_clusters.serving import source_watch
from retail_clusters.serving.folder_watch import FolderWatch
from retail_clusters.serving.known_files import KnownFiles
from retail_clusters.serving.output import Output
from retail_clusters.serving.records import CommitLog
from retail_clusters.serving.source_watch import Seen


class Clock:
    """A clock that stands still, but for how long a look takes."""

    def __init__(self, *, a_look_takes: float) -> None:
        self.now, self.looks, self._takes = 0.0, 0, a_look_takes

    def monotonic(self) -> float:
        return self.now

    def look(self, source: str, known: KnownFiles) -> Seen:
        self.looks += 1
        self.now += self._takes
        return source_watch.look(source, known)


def watch(folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> FolderWatch:
    monkeypatch.setattr("retail_clusters.serving.folder_watch.time", clock)
    monkeypatch.setattr("retail_clusters.serving.folder_watch.source_watch", clock)
    (folder / "in").mkdir()
    book = CommitLog(Output(str(folder / "output")))
    return FolderWatch(str(folder / "in"), book, archive="off", warn=pytest.fail)


@pytest.mark.parametrize(("takes", "pause"), [(0.01, 10.0), (0.2, 10.0), (3.0, 150.0)])
def test_a_folder_is_looked_at_every_ten_seconds_and_a_large_one_for_a_fiftieth_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, takes: float, pause: float
) -> None:
    clock = Clock(a_look_takes=takes)
    folder = watch(tmp_path, clock, monkeypatch)
    folder.look(due=False)
    clock.now += pause - 0.001
    folder.look(due=False)
    assert clock.looks == 1
    clock.now += 0.002
    folder.look(due=False)
    assert clock.looks == 2
    folder.look(due=True)
    assert clock.looks == 3
