"""The commands of a document, run in a fresh clone as a reader would: all in this process, on one session.

`make` says itself what it would run, and MLflow makes the run and the command of an entry point; only the new
process, and with it a new JVM, is left out.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import pytest
from mlflow.projects import load_project
from mlflow.projects import utils as projects

from retail_clusters import __main__

_FENCED = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(document: Path) -> list[str]:
    """List what a document tells its reader to type, without the remarks."""
    lines = [
        line for block in _FENCED.findall(document.read_text(encoding="utf-8")) for line in block.splitlines()
    ]
    typed = [re.sub(r"\s+# .*$", "", line).strip() for line in lines]
    return [line for line in typed if line and not line.startswith("#")]


def clone(project: Path, into: Path) -> Path:
    """Clone a project's last commit."""
    subprocess.run(["git", "clone", "--quiet", project, into], check=True)
    return into


def keep_in(place: Path, folder: str, names: set[str]) -> None:
    """Let a clone's last commit have these files alone in a folder."""
    for file in (place / folder).iterdir():
        if file.name not in names:
            file.unlink()
    author = ["-c", "user.name=reader", "-c", "user.email=reader@localhost"]
    subprocess.run(
        ["git", *author, "commit", "--quiet", "--all", "--message", "Few files"], cwd=place, check=True
    )


@dataclass(frozen=True)
class Done:
    """A command that has run: its exit code, what it printed, the run that `mlflow run` made for it."""

    code: int
    out: str
    err: str
    run_id: str | None = None


@dataclass
class Reader:
    """Types commands into a clone; `extra` are parameters added to every sweep, to keep it short."""

    place: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    extra: Mapping[str, str] = field(default_factory=dict)

    def type(self, line: str, *more: str) -> Done:
        """Run a line; `more` is added to its end."""
        words = [*shlex.split(line), *more]
        if words[0] == "make":
            (line,) = self._dry(words).splitlines()
            words = shlex.split(self._substituted(line))
        if words[:2] == ["mlflow", "run"]:
            return self._mlflow_run(words[2:])
        assert words[:3] == ["python", "-m", "retail_clusters"], line
        return self._command(words[3:])

    def left_behind(self) -> list[str]:
        """What git would take for a change, as it tells it."""
        told = ["git", "status", "--porcelain"]
        done = subprocess.run(told, cwd=self.place, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    def _dry(self, words: list[str]) -> str:
        dry = ["make", "-n", "-o", ".venv/runtime", *words[1:]]
        own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        done = subprocess.run(dry, cwd=self.place, env=own, capture_output=True, text=True, check=True)
        return done.stdout

    def _substituted(self, line: str) -> str:
        """Let a shell substitute what it would, and hand back the words, quoted."""
        script = f"printf '%q ' {line}"
        return subprocess.run(
            ["bash", "-c", script], cwd=self.place, capture_output=True, text=True, check=True
        ).stdout

    def _mlflow_run(self, words: list[str]) -> Done:
        options = {"-e": "main", "--experiment-name": "", "--env-manager": ""}
        parameters: dict[str, str] = {}
        assert words[0] == "."
        for name, value in zip(words[1::2], words[2::2], strict=True):
            if name == "-P":
                parameters |= dict([value.split("=", 1)])
            else:
                assert name in options, name
                options[name] = value
        if options["-e"] in {"main", "sweep"}:
            parameters |= self.extra
        return self._launched(options["-e"], options["--experiment-name"], parameters)

    def _launched(self, entry: str, experiment: str, parameters: dict[str, str]) -> Done:
        client, here = mlflow.MlflowClient(), str(self.place)
        known = client.get_experiment_by_name(experiment) if experiment else client.get_experiment("0")
        experiment_id = known.experiment_id if known else client.create_experiment(experiment)
        made = projects.get_or_create_run(None, here, experiment_id, here, None, entry, parameters)
        command = load_project(here).get_entry_point(entry).compute_command(parameters, None)
        with self.monkeypatch.context() as environment:
            for name, value in projects.get_run_env_vars(made.info.run_id, experiment_id).items():
                environment.setenv(name, value)
            words = shlex.split(command)
            assert words[:5] == ["env", "PYTHONPATH=src", "python", "-m", "retail_clusters"]
            done = self._command(words[5:])
        if client.get_run(made.info.run_id).info.status == "RUNNING":
            client.set_terminated(made.info.run_id, "FAILED" if done.code else "FINISHED")
        return Done(done.code, done.out, done.err, made.info.run_id)

    def _command(self, words: list[str]) -> Done:
        before = dict(os.environ)
        self.monkeypatch.setattr(sys, "argv", ["retail_clusters", *words])
        self.capsys.readouterr()
        try:
            __main__.main()
            code = 0
        except SystemExit as ended:
            code = int(str(ended.code))
        finally:
            for name in os.environ.keys() - before.keys():
                del os.environ[name]
            os.environ.update(before)
        told = self.capsys.readouterr()
        return Done(code, told.out, told.err)
