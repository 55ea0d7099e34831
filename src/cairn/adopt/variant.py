"""The text of a variant made from a user's function: the code as it was, and the form in which cairn calls it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cairn.adopt.source import Extract, Parameter
from cairn.errors import BadInput, UsageError

_SWITCHES = {"interpret", "debug", "name", "cost_estimate"}  # never a choice of a variant


@dataclass(frozen=True)
class Call:
    """How `run` calls the function: parameters that are inputs, and fields of `Config` with their defaults."""

    inputs: tuple[Parameter, ...]
    fields: Mapping[str, object]
    parameters: tuple[Parameter, ...]


def call_of(extract: Extract, inputs: Sequence[str], settings: Mapping[str, object]) -> Call:
    """Sort the parameters of a function into inputs, fields of `Config`, and those that keep their default.

    Args:
        inputs: names that the user called inputs; without any, every parameter that has no default is one.
        settings: values that the user gave for parameters that are no arrays.

    Raises:
        UsageError: a name is no parameter, or a parameter is left without a value.
    """
    names = [parameter.name for parameter in extract.parameters]
    for name in (*inputs, *settings):
        if name not in names:
            hint = f"`{extract.function}` takes {', '.join(names) or 'nothing'}"
            raise UsageError(f"`{name}` is no parameter of `{extract.function}`", hint=hint)
    chosen, fields = [], dict[str, object]()
    for parameter in extract.parameters:
        if parameter.name in settings:
            fields[parameter.name] = settings[parameter.name]
        elif parameter.name in inputs or (not inputs and not parameter.has_default):
            chosen.append(parameter)
        elif not parameter.has_default:
            hint = f"name it: --input '{parameter.name}:TYPE[AXES]', or fix it: --set {parameter.name}=VALUE"
            raise UsageError(f"`{extract.function}` needs `{parameter.name}`", hint=hint)
        elif parameter.literal is not None and parameter.name not in _SWITCHES:
            fields[parameter.name] = parameter.literal
    return Call(tuple(chosen), fields, extract.parameters)


def variant_text(extract: Extract, call: Call, root: Path) -> str:
    """A variant's file.

    Raises:
        BadInput: the module has a `Config` of its own, which the variant's would hide.
    """
    if "Config" in extract.names:
        hint = "rename that class, or write the variant by hand: see kernels/README.md"
        raise BadInput("the function needs a `Config` of its own", path=extract.path, line=extract.line, hint=hint)
    where = extract.path.relative_to(root.resolve()).as_posix()
    title = f'"""`{extract.function}` of {where}, taken over unchanged; `run` is how cairn calls it."""\n'
    future = [line for line in extract.imports.splitlines() if line.startswith("from __future__")]
    imports = [line for line in extract.imports.splitlines() if line not in future]
    ours = [line for line in ("import dataclasses", "import jax") if line not in imports]
    parts = [title, *([*future, ""] if future else []), *ours, *imports]
    return "\n".join(parts) + "\n\n\n" + extract.body.rstrip("\n") + "\n\n\n" + form(extract.function, call)


def form(function: str, call: Call) -> str:
    """`Config` and `run`, for a function that stands above them."""
    fields = [f"    {name}: {type(value).__name__} = {value!r}" for name, value in call.fields.items()]
    title = "What may be chosen; every default must compile." if fields else "Nothing to choose."
    called, alias = function, ""
    if function == "run":
        called, alias = "_taken_over", "_taken_over = run\n\n\n"
    names = ", ".join(parameter.name for parameter in call.inputs)
    passed = ", ".join(_passed(call))
    use = [] if fields else ["    del config"]
    body = [*use, f"    outputs = {called}({passed})"]
    return (
        f"{alias}@dataclasses.dataclass(frozen=True)\nclass Config:\n"
        + "\n".join([f'    """{title}"""', *(["", *fields] if fields else [])])
        + f"\n\n\ndef run({names}{', ' if names else ''}*, config: Config) -> tuple[jax.Array, ...]:\n"
        + '    """Every output, in the order of problem.yaml."""\n'
        + "\n".join(body)
        + "\n    return outputs if isinstance(outputs, tuple) else (outputs,)\n"
    )


def _passed(call: Call) -> list[str]:
    """Arguments in the order of the signature; by name once a parameter before was left out."""
    inputs = {parameter.name for parameter in call.inputs}
    passed, in_order = [], True
    for parameter in call.parameters:
        if parameter.name not in inputs and parameter.name not in call.fields:
            in_order = False
            continue
        value = parameter.name if parameter.name in inputs else f"config.{parameter.name}"
        by_name = parameter.keyword_only or not in_order or parameter.name not in inputs
        passed.append(f"{parameter.name}={value}" if by_name else value)
        in_order = in_order and not by_name
    return passed
