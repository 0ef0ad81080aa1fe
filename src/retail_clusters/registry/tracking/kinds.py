"""What kinds of runs there are, and the tag that tells them apart: a person filters runs by it."""

from typing import Final, Literal

Kind = Literal[
    "main",
    "prepare",
    "sweep",
    "trial",
    "train",
    "register",
    "promote",
    "rollback",
    "score",
    "purchases",
    "customers",
]

#: Those that may take long, and so say what the machine does meanwhile.
LONG: Final[frozenset[Kind]] = frozenset({"main", "sweep", "score", "purchases"})


def kind_tag(kind: Kind) -> dict[str, str]:
    """Return the tag of a run of some kind."""
    return {"kind": kind}
