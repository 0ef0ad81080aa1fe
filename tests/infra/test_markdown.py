from retail_clusters.infra import markdown

HEADER, ROWS = ("part", "lines"), [("train|all", "1,200"), ("007", 90)]


def test_markdown_table_aligns_numbers_and_keeps_a_pipe_within_its_cell():
    assert markdown.table(HEADER, ROWS).split("\n") == [
        "| part | lines |",
        "|---|---:|",
        "| train\\|all | 1,200 |",
        "| 007 | 90 |",
    ]
