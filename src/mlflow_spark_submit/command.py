"""An entry point's command as what spark-submit can run: a Python module with arguments.

One form is understood, as a shell would read it: `[env] [NAME=VALUE …] python -m MODULE [ARGUMENT …]`.
"""

import re
import shlex
from dataclasses import dataclass

from mlflow.exceptions import ExecutionException

# Quoted text of which a shell changes nothing.
_LITERAL = re.compile(r"""'[^']*'|"[^"$`\\]*\"""")
# What a shell takes as it stands, outside quotes.
_PLAIN = re.compile(r"[\w \t@%+=:,./-]*")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_PYTHON = re.compile(r"python(3(\.\d+)?)?")


@dataclass(frozen=True)
class ModuleCommand:
    """A module to run as `python -m` would, with the variables that the command sets for it."""

    module: str
    arguments: tuple[str, ...]
    variables: dict[str, str]


def parse_command(command: str) -> ModuleCommand:
    """Return the module, arguments and variables of an entry point's computed command.

    Raises:
        ExecutionException: for another form, and for anything that a shell would expand, join or redirect.
    """
    command = command.strip()
    if not _PLAIN.fullmatch(_LITERAL.sub("", command)):
        raise _refused("one that needs a shell")
    words = shlex.split(command)
    if words[:1] == ["env"]:
        words = words[1:]
    variables = {}
    while words and _ASSIGNMENT.match(words[0]):
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    if len(words) < 3 or not _PYTHON.fullmatch(words[0]) or words[1] != "-m":
        raise _refused(repr(" ".join(words[:2])))
    return ModuleCommand(module=words[2], arguments=tuple(words[3:]), variables=variables)


def _refused(found: str) -> ExecutionException:
    return ExecutionException(
        "the backend spark-submit runs commands of the form "
        f"'[env] [NAME=VALUE …] python -m MODULE [ARGUMENT …]', but got {found}: change the entry point"
    )
