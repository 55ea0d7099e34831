"""Arrays on the wire, in a worker: raw bytes beside a type name and a shape."""

from collections.abc import Sequence
from typing import Any

import ml_dtypes  # noqa: F401  # registers bfloat16 and the float8 types with numpy
import numpy as np


def unpack(specs: Sequence[dict[str, Any]], blobs: Sequence[bytes]) -> list[Any]:
    """Build numpy arrays from `{"dtype", "shape"}` and their bytes."""
    return [
        np.frombuffer(blob, dtype=np.dtype(spec["dtype"])).reshape(spec["shape"])
        for spec, blob in zip(specs, blobs, strict=True)
    ]


def pack(arrays: Sequence[Any]) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Turn arrays into `{"dtype", "shape"}` and bytes in C order."""
    specs, blobs = [], []
    for array in arrays:
        host = np.asarray(array)
        specs.append({"dtype": host.dtype.name, "shape": list(host.shape)})
        blobs.append(host.tobytes())
    return specs, blobs
