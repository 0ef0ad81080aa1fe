"""The shared MLflow that docs/shared-mlflow.md describes; a running one is in tests/soak/test_server_soak.py."""

from pathlib import Path

import mlflow.cli
import yaml

PROJECT = Path(__file__).parents[1]


def test_compose_file_gives_the_server_only_options_that_it_has():
    services = yaml.safe_load((PROJECT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    words = services["mlflow"]["command"].split()
    known = {name for option in mlflow.cli.server.params for name in option.opts}
    assert words[:2] == ["mlflow", "server"]
    assert {word for word in words if word.startswith("--")} <= known
