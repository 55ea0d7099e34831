"""Door to `cairn gdnctl`; how it finds its code: ../_bootstrap.py."""

import sys

sys.dont_write_bytecode, sys.path[:0] = True, [(__file__.rpartition("/")[0] or ".") + "/.."]
from _bootstrap import run  # noqa: E402 (this folder may be read-only, so nothing is imported before)

run("gdnctl")
