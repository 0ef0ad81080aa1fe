"""What is known of every file, in few bytes."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from retail_clusters.serving.known_files import InputFile, KnownFiles

NAMES = st.integers(0, 400).map(lambda number: f"file:///in/\udce9/{number}.csv")
FILES = st.lists(st.builds(InputFile, NAMES, st.integers(0, 2**40), st.integers(0, 2**45)), max_size=60)


@given(st.lists(FILES, max_size=20))
def test_it_knows_each_file_as_the_last_batch_scored_it(batches: list[list[InputFile]]) -> None:
    known, expected = KnownFiles(), dict[str, tuple[InputFile, int]]()
    for batch_id, files in enumerate(batches):
        known.learn(files, batch_id)
        expected |= {file.location: (file, batch_id) for file in files}
        for number in range(0, 401, 7):
            name = f"file:///in/\udce9/{number}.csv"
            assert known.find(name) == expected.get(name)
    assert all(known.find(name) == facts for name, facts in expected.items())


def test_a_file_costs_some_sixty_bytes() -> None:
    known = KnownFiles()
    for number in range(100_000):
        known.learn([InputFile(f"file:///in/2011-01-01/{number}.csv", number, number)], number)
    keys, facts = known._kept
    latest = sys.getsizeof(known._latest) + 300 * len(known._latest)
    assert len(keys) + len(known._latest) == 100_000
    assert keys.nbytes + facts.nbytes + latest < 60 * 100_000
