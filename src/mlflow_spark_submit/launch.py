"""Run a module as `python -m` would: spark-submit takes a file. `launch.py MODULE [ARGUMENT …]`."""

import os
import runpy
import sys

if __name__ == "__main__":
    sys.path[0] = os.getcwd()  # noqa: PTH109 - this file's folder is no place to import from
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
