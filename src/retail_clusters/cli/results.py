"""`--json`: a command's result alone on standard output, what is written for people on standard error."""

import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

from pydantic_core import to_jsonable_python

from retail_clusters.errors import RetailClustersError
from retail_clusters.infra.secrets import masked


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
    """Return a result as JSON: records by their fields; of frames, models and the like nothing."""
    return json.dumps(to_jsonable_python(result, inf_nan_mode="null", fallback=_foreign), indent=2)


def _foreign(value: object) -> Any:
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return to_jsonable_python(value.tolist(), inf_nan_mode="null", fallback=_foreign)
    return None
