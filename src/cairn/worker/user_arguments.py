"""A call described as plain data, made into what a function is traced with: abstract arrays, constants, values.

An array without values is a parameter of the lowered program. One with values is closed over: a constant of the
program, so that grids and index maps that depend on it are known to whoever reads the program.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import ml_dtypes  # noqa: F401  # registers bfloat16 and the narrow types with numpy
import numpy as np

_MAX_CONSTANT_ELEMENTS = 16_384
_CONSTANT_TYPES = ("int32", "int64", "uint32", "bool")


@dataclass(frozen=True)
class Call:
    """A function of the parameters alone, and the parameters: abstract arrays in order."""

    function: Callable[..., tuple[Any, ...]]
    parameters: list[jax.ShapeDtypeStruct]


def described(function: Callable[..., Any], call: Mapping[str, Any]) -> Call:
    """The call `{"positional": [node...], "keyword": {name: node}}`; see `built` for nodes."""
    positional = [built(node) for node in call["positional"]]
    keyword = {name: built(node) for name, node in call["keyword"].items()}
    return bound(function, positional, keyword)


def bound(function: Callable[..., Any], positional: Sequence[Any], keyword: Mapping[str, Any]) -> Call:
    """Split arguments into parameters and what is closed over; results become a flat tuple."""
    leaves, structure = jax.tree.flatten((tuple(positional), dict(keyword)), is_leaf=lambda leaf: leaf is None)
    places = [index for index, leaf in enumerate(leaves) if isinstance(leaf, jax.ShapeDtypeStruct)]

    def flat(*arrays: Any) -> tuple[Any, ...]:
        values = list(leaves)
        for index, array in zip(places, arrays, strict=True):
            values[index] = array
        arguments, keywords = jax.tree.unflatten(structure, values)
        return tuple(jax.tree.leaves(function(*arguments, **keywords)))

    return Call(flat, [leaves[index] for index in places])


def built(node: Mapping[str, Any]) -> Any:
    """One argument: `array` (shape, dtype), `constant` (and values), `value`, `tuple`, `list` or `dict` (items)."""
    kind = node["kind"]
    if kind == "array":
        dtype = jax.dtypes.canonicalize_dtype(np.dtype(node["dtype"]))
        return jax.ShapeDtypeStruct(tuple(node["shape"]), dtype)
    if kind == "constant":
        return _constant(node)
    if kind == "value":
        return node["value"]
    if kind == "dict":
        return {name: built(item) for name, item in node["items"].items()}
    items = [built(item) for item in node["items"]]
    return tuple(items) if kind == "tuple" else items


def _constant(node: Mapping[str, Any]) -> np.ndarray:
    shape, dtype, values = tuple(node["shape"]), np.dtype(node["dtype"]), node["values"]
    if values == "arange":
        return np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape)
    array = np.asarray(values)
    return np.broadcast_to(array.astype(dtype), shape) if array.ndim == 0 else array.astype(dtype).reshape(shape)


def abstracted(arguments: Any) -> Any:
    """Concrete arrays as parameters, but for small arrays of integers, which decide grids and stay as they are."""
    return jax.tree.map(_abstract, arguments, is_leaf=lambda leaf: leaf is None)


def _abstract(leaf: Any) -> Any:
    if not isinstance(leaf, np.ndarray | jax.Array | np.generic):
        return leaf
    if str(leaf.dtype) in _CONSTANT_TYPES and leaf.size <= _MAX_CONSTANT_ELEMENTS:
        return np.asarray(leaf)
    return jax.ShapeDtypeStruct(leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype))


def configured(function: Callable[..., Any], module: Any, settings: Mapping[str, Any]) -> Callable[..., Any]:
    """Fix the settings: fields of the module's `Config` where the function takes one, keyword arguments otherwise."""
    config_type = getattr(module, "Config", None)
    if config_type is not None and "config" in _parameter_names(function):
        return functools.partial(function, config=config_type(**settings))
    return functools.partial(function, **settings) if settings else function


def _parameter_names(function: Callable[..., Any]) -> set[str]:
    import inspect

    try:
        return set(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return set()
