"""`--json`: a command's result alone on standard output, what is written for people on standard error."""

import dataclasses
import json
import math
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from retail_clusters.errors import RetailClustersError
from retail_clusters.infra.secrets import masked

_LEFT_OUT: Final = object()


def print_json(run: Callable[[], object]) -> None:
    """Run a command, and print its result, or how it failed, as JSON."""
    output = sys.stdout
    try:
        with redirect_stdout(sys.stderr):
            result = run()
    except RetailClustersError as failure:
        print(json.dumps({"error": masked(str(failure)), "exit_code": failure.exit_code}), file=output)
        raise
    print(to_json(result), file=output)


def to_json(result: object) -> str:
    """Return a result as JSON: records by their fields; frames, models and the like are left out."""
    return json.dumps(_plain(result), indent=2)


def _plain(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _kept({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    if isinstance(value, Mapping):
        return _kept({str(name): each for name, each in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        return [plain for each in value if (plain := _plain(each)) is not _LEFT_OUT]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return _foreign(value)


def _foreign(value: object) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Path):
        return str(value)
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return _plain(value.tolist())
    return _LEFT_OUT


def _kept(fields: Mapping[str, object]) -> dict[str, Any]:
    plain = {name: _plain(each) for name, each in fields.items()}
    return {name: each for name, each in plain.items() if each is not _LEFT_OUT}
