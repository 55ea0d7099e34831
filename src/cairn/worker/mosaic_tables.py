"""Every Mosaic operation that the replay knows, by name. What is not here is refused, not guessed."""

from collections.abc import Callable
from typing import Any

import mosaic_ops_control as control  # type: ignore[import-not-found]
import mosaic_ops_convert as convert  # type: ignore[import-not-found]
import mosaic_ops_elementwise as elementwise  # type: ignore[import-not-found]
import mosaic_ops_memory as memory  # type: ignore[import-not-found]
import mosaic_ops_vector as vector  # type: ignore[import-not-found]

Make = Callable[[Any], Callable[..., Any]]
PURE: dict[str, Make] = {**elementwise.PURE, **convert.PURE, **vector.PURE, **control.PURE}
READS: dict[str, Make] = dict(memory.READS)
EFFECTS: dict[str, Make] = {**memory.EFFECTS, **control.EFFECTS}
