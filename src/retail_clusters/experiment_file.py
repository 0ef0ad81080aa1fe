"""An experiment as it is given: a YAML file, `--set section.name=value`, a parameter; the last one wins."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError
from yaml.constructor import ConstructorError

from retail_clusters.errors import InputError
from retail_clusters.question import Question
from retail_clusters.settings import Experiment, explain, put

#: `mlflow run` knows each parameter once, so several settings may stand in one text, between semicolons.
_BETWEEN: Final = re.compile(r";\s*(?=[a-z_]+(?:\.[a-z_]+)*=)")

#: A section without settings, as in `sweep:`, is one that is not there.
_SECTIONS: Final = {name for name, value in Experiment() if isinstance(value, BaseModel)} | {
    *Question.model_fields
}


_INTEGER: Final = "tag:yaml.org,2002:int"
_DECIMAL: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")


class _Loader(yaml.SafeLoader):
    """YAML as YAML 1.2 has it: `1e-4` is a number, `010` is not 8, and a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse what YAML 1.1 takes in silence, naming the key."""
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                raise ConstructorError(problem=f"{key.value} stands in it twice", problem_mark=key.start_mark)
            seen.add(key.value)
            if value.tag == _INTEGER and not _DECIMAL.fullmatch(value.value):
                problem = f"{key.value} is {value.value}, but a number is decimal, without a zero in front"
                raise ConstructorError(problem=problem, problem_mark=value.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def load_experiment(
    path: Path, parameters: Mapping[str, object] | None = None, *, assignments: Sequence[str] = ()
) -> Experiment:
    """Read an experiment file; an assignment wins over it, a parameter (dotted name to value) over both.

    An assignment is the text `section.name=value`, its value written as in the file. A parameter that is
    None is not given.

    Raises:
        InputError: no such file, no YAML mapping, an unknown setting, or a value out of bounds.
    """
    tree = _read_yaml(path)
    for one in (one for text in assignments for one in _BETWEEN.split(text) if one.strip()):
        _assign(tree, one.strip())
    for name, value in (parameters or {}).items():
        if value is not None:
            put(tree, name.split("."), value)
    try:
        return Experiment.model_validate(tree)
    except ValidationError as invalid:
        beside = " and what is set beside it" if assignments or parameters else ""
        raise InputError(f"{path}{beside}: {explain(invalid)}") from invalid


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as unreadable:
        raise InputError(
            f"an experiment is a YAML file, but {path} cannot be read ({unreadable.strerror}): "
            "go to the project's folder, where relative paths start, or name another with --experiment"
        ) from unreadable
    except (yaml.YAMLError, UnicodeDecodeError) as malformed:
        where = " ".join(str(malformed).split())
        raise InputError(f"an experiment is a YAML file, but {path} does not parse: {where}") from malformed
    if not isinstance(tree, dict | None):
        raise InputError(f"an experiment is a YAML mapping, but {path} holds a {type(tree).__name__}")
    return {name: value for name, value in (tree or {}).items() if value is not None or name not in _SECTIONS}


def _assign(tree: dict[str, Any], text: str) -> None:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError(
            f"--set takes section.name=value, but got {text!r}: write, for example, --set sweep.trials=8"
        )
    try:
        written = yaml.load(f"{name}: {value}", Loader=_Loader)
    except yaml.YAMLError as malformed:
        where = " ".join(str(malformed).split())
        raise InputError(
            f"--set {text}: the value is written as in an experiment file, but does not parse: {where}"
        ) from malformed
    put(tree, name.split("."), written[name])
