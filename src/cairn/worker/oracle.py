"""The oracle: runs the problem's frozen reference in float64. Trusted, and never in one process with a variant."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import own_families  # type: ignore[import-not-found]
from arrays import pack, unpack  # type: ignore[import-not-found]
from input_domains import Domain, domains_of  # type: ignore[import-not-found]

Reply = tuple[dict[str, Any], list[bytes]]
PRICED = "priced:"  # before a family: with the whole numbers that a price is for
_state: dict[str, Any] = {}


def handle(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Answer `load`, `specs`, `domains`, `cost`, `inputs`, `draw`, `truth` or `properties`."""
    if header["op"] == "truth":
        return _truth_of(unpack(header["inputs"], blobs))
    if header["op"] == "properties":
        return _properties(header, blobs)
    answers = {
        "load": _load,
        "specs": _specs,
        "domains": _domains,
        "cost": _cost,
        "inputs": _inputs,
        "draw": _draw,
    }
    return answers[header["op"]](header)


def _load(header: dict[str, Any]) -> Reply:
    """Import the reference from its path and say what it offers."""
    path = Path(header["path"])
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location("reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["reference"] = module
    spec.loader.exec_module(module)
    missing = [name for name in ("make_inputs", "reference", "cost") if not callable(getattr(module, name, None))]
    if missing:
        raise AttributeError(f"{path.name} lacks {', '.join(missing)}")
    _state.update(module=module, families=list(header.get("families", ["normal"])), domains={}, drawn=[])
    return {"has_properties": callable(getattr(module, "properties", None))}, []


def _cost(header: dict[str, Any]) -> Reply:
    """Least operations and bytes of a shape, and those of the stated good form where the reference has one."""
    module = _state["module"]
    flops, bytes_ = module.cost(header["shape"])
    target = getattr(module, "target_cost", module.cost)(header["shape"])
    return {
        "flops": int(flops),
        "bytes": int(bytes_),
        "target_flops": int(target[0]),
        "target_bytes": int(target[1]),
    }, []


def _specs(header: dict[str, Any]) -> Reply:
    """Shapes and types of the inputs, and the integers that a price is asked for.

    A reference without `input_specs` has to make the arrays to tell. Where whole numbers among the inputs decide how
    much work there is (lengths, sizes of groups), `priced_with` says which: arrays by the number of the input.
    """
    module = _state["module"]
    shape = dict(header["shape"])
    if hasattr(module, "input_specs"):
        specs = [{"shape": list(dims), "dtype": str(dtype)} for dims, dtype in module.input_specs(shape)]
    else:
        made = [np.asarray(array) for array in module.make_inputs(0, shape)]
        specs = [{"shape": list(array.shape), "dtype": array.dtype.name} for array in made]
    priced_with = getattr(module, "priced_with", None)
    values = {} if priced_with is None else priced_with(shape)
    flat = {str(place): np.asarray(array).astype(np.int64).ravel().tolist() for place, array in values.items()}
    return {"inputs": specs, "values": flat}, []


def _domains(header: dict[str, Any]) -> Reply:
    """In which domain each input is varied at a shape, and the names of the families that are made so."""
    texts = [domain.text for domain in _domains_at(dict(header["shape"]))]
    names = [name for name in own_families.FAMILIES if name != "normal" or name not in _state["families"]]
    return {"domains": texts, "families": [own_families.PREFIX + name for name in names]}, []


def _domains_at(shape: dict[str, int]) -> list[Domain]:
    """Domains of the inputs: what is declared at a shape, and what draws at the first one that was asked about show.

    Those are one draw of every family and a second one of the first; drawing at each shape would take seconds.
    """
    key = tuple(shape.items())
    if key not in _state["domains"]:
        module, families = _state["module"], _state["families"]
        if not _state["drawn"]:
            _state["drawn"] = [
                module.make_inputs(seed, dict(shape), family=family)
                for seed, family in enumerate([families[0], *families])
            ]
        declared = getattr(module, "input_domains", None)
        said = None if declared is None else list(declared(dict(shape)))
        _state["domains"][key] = domains_of(_state["drawn"], said)
    return list(_state["domains"][key])


def _make(header: dict[str, Any]) -> tuple[Any, ...]:
    """Inputs for a seed, shape and family; a family of the judge's own is made from the problem's first."""
    seed, shape, family = header["seed"], dict(header["shape"]), header["family"]
    if family.startswith(PRICED):
        return _with_priced(_make({**header, "family": family.removeprefix(PRICED)}), shape)
    make = _state["module"].make_inputs
    if not family.startswith(own_families.PREFIX):
        return tuple(make(seed, shape, family=family))
    drawn = tuple(np.asarray(array) for array in make(seed, dict(shape), family=_state["families"][0]))
    name = family.removeprefix(own_families.PREFIX)
    return tuple(own_families.derive(name, seed, drawn, _domains_at(shape)))


def _with_priced(inputs: tuple[Any, ...], shape: dict[str, int]) -> tuple[Any, ...]:
    """These inputs, with the whole numbers in them that a price is for."""
    arrays = [np.asarray(array) for array in inputs]
    for place, values in _state["module"].priced_with(shape).items():
        arrays[place] = np.asarray(values).astype(arrays[place].dtype).reshape(arrays[place].shape)
    return tuple(arrays)


def _inputs(header: dict[str, Any]) -> Reply:
    """Inputs for a seed, shape and family, without the truth."""
    specs, blobs = pack(_make(header))
    return {"inputs": specs}, blobs


def _draw(header: dict[str, Any]) -> Reply:
    """Inputs for a seed, shape and family, and what a kernel must answer to them, in float64."""
    inputs = _make(header)
    input_specs, input_blobs = pack(inputs)
    reply, truth_blobs = _truth_of(inputs)
    return {"inputs": input_specs, **reply}, [*input_blobs, *truth_blobs]


def _truth_of(inputs: Sequence[Any]) -> Reply:
    """What a kernel must answer to these inputs, in float64."""
    truth = _state["module"].reference(*inputs)
    truth = truth if isinstance(truth, tuple) else (truth,)
    for index, array in enumerate(truth):
        if np.asarray(array).dtype != np.float64:
            raise TypeError(f"output {index} of the reference is {np.asarray(array).dtype}, not float64")
        if not np.isfinite(array).all():
            raise FloatingPointError(f"output {index} of the reference is not finite")
    specs, blobs = pack(truth)
    return {"truth": specs}, blobs


def _properties(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Which identities between inputs and outputs hold; none for a reference that states none."""
    stated = getattr(_state["module"], "properties", None)
    if stated is None:
        return {"properties": {}}, []
    arrays = unpack([*header["inputs"], *header["outputs"]], blobs)
    count = len(header["inputs"])
    found = stated(tuple(arrays[:count]), tuple(arrays[count:]))
    return {"properties": {str(name): bool(holds) for name, holds in found.items()}}, []
