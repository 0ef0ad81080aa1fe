from retail_clusters.infra import markdown

HEADER, ROWS = ("part", "lines"), [("train|all", "1,200"), ("007", 90)]


def test_markdown_table_aligns_numbers_and_keeps_a_pipe_within_its_cell():
    assert markdown.table(HEADER, ROWS).split("\n") == [
        "| part | lines |",
        "|---|---:|",
        "| train\\|all | 1,200 |",
        "| 007 | 90 |",
    ]


def test_table_for_the_terminal_aligns_columns_and_leaves_cells_as_they_are():
    _, _, *rows = markdown.text_table(HEADER, ROWS).split("\n")
    assert rows == ["train|all    1,200", "007             90"]
    assert "part" in markdown.text_table(HEADER, [])
