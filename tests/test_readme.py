"""What the README tells the user to type exists."""

import re
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def test_every_make_target_in_the_documents_is_in_the_makefile():
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    told = README + (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    used = set(re.findall(r"(?:^|`)make ([a-z]+)", told, re.MULTILINE))
    assert used
    assert used <= targets


def test_every_entry_point_is_in_the_table_of_the_readme():
    entry_points = yaml.safe_load((PROJECT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
    assert set(re.findall(r"^\| `([a-z]+)` \|", README, re.MULTILINE)) == set(entry_points)


def test_every_link_of_the_documents_leads_to_a_file():
    documents = [PROJECT / "README.md", *(PROJECT / "docs").rglob("*.md"), PROJECT / "data" / "README.md"]
    missing = [
        (document.name, link)
        for document in documents
        for link in re.findall(r"]\(([^)#:]+)\)", document.read_text(encoding="utf-8"))
        if not (document.parent / link).exists()
    ]
    assert missing == []
