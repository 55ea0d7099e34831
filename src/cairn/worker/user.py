"""Role `user`: a function of the user's, loaded in a locked room, lowered for a chip, run in the interpreter.

What leaves this process is a serialised program, or findings of the interpreter as text. The function may be given
with a description of its arguments; or a hook of the same module makes them; or the function itself, called with its
settings alone, returns another function and its arguments.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import blame  # type: ignore[import-not-found]
import jax
import seen_as  # type: ignore[import-not-found]
import user_arguments  # type: ignore[import-not-found]
import user_source  # type: ignore[import-not-found]
from jax import export

Reply = tuple[dict[str, Any], list[bytes]]
_state: dict[str, Any] = {}
_SAFE = ["tpu_custom_call"]
_NO_GUARANTEE = "no compatibility guarantees"
_CALL_TARGET = re.compile(r"custom_call @\"?([\w.$]+)")
_LOCATION_FRAMES = 10


def handle(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Answer `load`, `export` or `interpret`."""
    return {"load": _load, "export": _export, "interpret": _interpret}[header["op"]](header, blobs)


def _load(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Import the module as on a machine with that device, and find the function in it."""
    device = header["device"]
    seen_as.show_device(device["kind"], device["cores"])
    user_source.place(header["roots"], header["files"], blobs)
    module = user_source.load(header["module"], header["file"])
    function: Any = module
    for name in header["function"].split("."):
        function = getattr(function, name)
    if not callable(function):
        raise TypeError(f"{header['function']} is {type(function).__name__}, not a function")
    _state.update(module=module, function=function, device=device)
    return {}, []


def prepared(header: dict[str, Any]) -> user_arguments.Call:
    """The call that a request describes."""
    module = _state["module"]
    settings = {name: user_arguments.built(node) for name, node in header["settings"].items()}
    function = user_arguments.configured(_state["function"], module, settings)
    if header["call"] is not None:
        return user_arguments.described(function, header["call"])
    if header["hook"] is not None:
        arguments = _called(getattr(module, header["hook"]), settings)
    else:
        function, arguments = _function_and_arguments(function())
    arguments = user_arguments.abstracted(arguments)
    if isinstance(arguments, dict):
        return user_arguments.bound(function, (), arguments)
    return user_arguments.bound(function, arguments if isinstance(arguments, tuple | list) else (arguments,), {})


def _called(hook: Callable[..., Any], settings: dict[str, Any]) -> Any:
    """Call a hook with those of the settings that it takes."""
    import inspect

    parameters = inspect.signature(hook).parameters.values()
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    names = {parameter.name for parameter in parameters}
    return hook(**{name: value for name, value in settings.items() if takes_any or name in names})


def _function_and_arguments(made: Any) -> tuple[Callable[..., Any], Any]:
    if isinstance(made, tuple) and len(made) == 2 and callable(made[0]):
        return made[0], made[1]
    raise TypeError(
        "without shapes the function is called with its settings alone and must return (function, arguments); "
        f"it returned {type(made).__name__}"
    )


def _export(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Lower for TPU on abstract inputs and serialise; with `locations` errors and schedules can name lines."""
    del blobs
    jax.config.update("jax_traceback_in_locations_limit", _LOCATION_FRAMES if header["locations"] else 0)
    device = _state["device"]
    with seen_as.seen_as(device["kind"], device["cores"]):
        call = prepared(header)
        if not call.parameters:
            raise ValueError("the function has no array argument: at least one must be left without values")
        try:
            program = _lowered(call)
        except NotImplementedError as error:
            place = blame.place_of(error, call)
            if place is None:
                raise
            raise NotImplementedError(f"{error}\nat {place}") from error
    outputs = [{"dtype": aval.dtype.name, "shape": list(aval.shape)} for aval in program.out_avals]
    inputs = [{"dtype": aval.dtype.name, "shape": list(aval.shape)} for aval in program.in_avals]
    return {"inputs": inputs, "outputs": outputs}, [bytes(program.serialize())]


def _lowered(call: user_arguments.Call) -> Any:
    """The export; custom calls that jax has no guarantee for are named by its error, and allowed: nothing is kept."""
    allowed = list(_SAFE)
    while True:
        checks = [export.DisabledSafetyCheck.custom_call(name) for name in allowed]
        try:
            return export.export(jax.jit(call.function), platforms=["tpu"], disabled_checks=checks)(
                *call.parameters
            )
        except ValueError as error:
            named = set(_CALL_TARGET.findall(str(error))) if _NO_GUARANTEE in str(error) else set()
            if named <= set(allowed):
                raise
            allowed += sorted(named)


def _interpret(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    import interpret  # type: ignore[import-not-found]

    device = _state["device"]
    with seen_as.seen_as(device["kind"], device["cores"]):
        reply: Reply = interpret.interpreted(prepared(header), header, blobs)
        return reply
