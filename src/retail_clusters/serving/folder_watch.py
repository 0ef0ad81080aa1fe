"""A scorer's look at its folder: what changed, what is to be put away, what no stream brings."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from retail_clusters.infra.locations import for_display
from retail_clusters.serving import source_watch
from retail_clusters.serving.archive import clean_source
from retail_clusters.serving.known_files import InputFile
from retail_clusters.serving.records import CommitLog
from retail_clusters.serving.source_watch import ChangedFiles, Seen
from retail_clusters.settings import Archive

#: Seconds between two looks at the whole folder, which the stream itself lists at each trigger; and how many
#: times as long as a look took, so that those at a large folder cost little of the whole.
_LOOK_EVERY: Final = 10.0
_LOOK_AFTER: Final = 50


class FolderWatch:
    """The folder of a scorer, held against its book now and then."""

    def __init__(
        self, source: str, book: CommitLog, *, archive: Archive, warn: Callable[[str], None]
    ) -> None:
        """Read which files are known to have changed."""
        self._source, self._book = source, book
        self._archive, self._warn = archive, warn
        self._changed = ChangedFiles(book.output)
        self._look_at = self._list_at = float("-inf")
        self._waiting: set[InputFile] = set()

    @property
    def changed(self) -> int:
        """Count the files that changed after they were scored."""
        return len(self._changed)

    def look(self, *, due: bool, waited: Sequence[InputFile] = ()) -> list[InputFile]:
        """Tell of files that changed, put away those left over, and return those that no stream brings.

        These are the empty ones and such, and those of `waited` that still wait.
        """
        if not due and time.monotonic() < self._look_at:
            return []
        seen, self._look_at = self._list()
        for file in self._changed.update(seen.changed, self._book.known):
            self._warn(
                f"{for_display(file.location)} changed after batch {file.batch_id} had scored it, and its lines "
                "there are the earlier ones: score it anew with score --rescore FILE"
            )
        clean_source(seen.done, source=self._source, how=self._archive, batch_id=self._book.last)
        left = {file.location for file in waited}
        return [*seen.unstreamed, *(file for file in seen.waiting if file.location in left)]

    def waiting(self) -> list[InputFile]:
        """List the files that the stream has not brought yet."""
        seen, _ = self._list()
        return list(seen.waiting)

    def has_stalled_files(self) -> bool:
        """Tell whether a file waits that did so at the last look, some time ago."""
        if time.monotonic() < self._list_at:
            return False
        seen, self._list_at = self._list()
        before, self._waiting = self._waiting, set(seen.waiting)
        return not before.isdisjoint(self._waiting)

    def has_lines(self, file: InputFile) -> bool:
        """Tell whether a batch has lines of a file, changed or not since.

        Spark brings a file again that it has forgotten, or had not seen when a batch here took it.
        """
        found = self._book.known.find(file.location)
        return found is not None and found[0].length > 0

    def drop_link_duplicates(self, files: Sequence[InputFile]) -> list[InputFile]:
        """Leave out files that are there already, under a path without a link to a folder above."""
        looped = [file for file in files if source_watch.loops(file, source=self._source)]
        if looped:
            self._warn(
                f"{len(looped)} paths lead through a link to a folder above it, such as "
                f"{for_display(looped[0].location)}: their files are read once, under their own names"
            )
        return [file for file in files if file not in looped]

    def _list(self) -> tuple[Seen, float]:
        """Look at the whole folder; say also when to do so again."""
        began = time.monotonic()
        seen = source_watch.look(self._source, self._book.known)
        ended = time.monotonic()
        return seen, ended + max(_LOOK_EVERY, _LOOK_AFTER * (ended - began))
