"""Which Python runs the kernels: the one that has their jax."""

import importlib.util
import sys
from pathlib import Path

from cairn.errors import Missing
from cairn.registry import Registry

_FIX = "pip install 'kernel-cairn[tpu]', or name an interpreter that has jax as climb.python in registry.json"


def find_python(registry: Registry) -> Path:
    """The worker's interpreter: `climb.python`, else this one if it has jax, else the project's `.venv`.

    Raises:
        Missing: none of them exists.
    """
    if registry.climb.python is not None:
        named = Path(registry.climb.python).expanduser()
        path = named if named.is_absolute() else (registry.root / named).absolute()
        if not path.exists():
            raise Missing(f"climb.python names {path}, which does not exist", hint=_FIX)
        return path
    if importlib.util.find_spec("jax") is not None:
        return Path(sys.executable)
    venv = (registry.root / ".venv" / "bin" / "python").absolute()
    if venv.exists():
        return venv
    raise Missing("no interpreter with jax was found", hint=_FIX)
