"""What all acts of the misbehaving agent share: their register, where things are, a shell, a valid edit."""

import contextlib
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

ACTS: dict[str, Callable[[], None]] = {}
RUN = Path(os.environ.get("CAIRN_LOG_DIR", ".")).parent.parent
VARIANT = Path(os.environ.get("CAIRN_VARIANT", "variant.py"))
PROJECT = RUN.parent.parent.parent


def act(function: Callable[[], None]) -> Callable[[], None]:
    ACTS[function.__name__] = function
    return function


def shell(command: str) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(["bash", "-c", command], check=False, timeout=20, stdin=subprocess.DEVNULL)


def edit(block: int = 32) -> None:
    VARIANT.write_text(re.sub(r"block: int = \d+", f"block: int = {block}", VARIANT.read_text()))
