"""The files of a problem whose kernel and reference drew their inputs themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cairn.adopt.drawing import Drawing, drawing_text
from cairn.adopt.entry_split import Offered, Split, bindings
from cairn.adopt.new_problem import Draft, filled, shape_rows
from cairn.adopt.probe import probe_specs
from cairn.adopt.source import Parameter, foreign_imports
from cairn.adopt.specification import Array
from cairn.adopt.variant import Call, form
from cairn.errors import BadInput
from cairn.problem import Shape
from cairn.worker.scratch import scratch

_UNKNOWN = Array("out", "float32", (1,))


@dataclass(frozen=True)
class Files:
    """What the files are made from: the two parts of each file, and what the configuration says."""

    name: str
    config: str
    kernel: Split | Offered
    plain: Split | Offered
    shapes: tuple[Shape, ...]
    targets: tuple[str, ...]


def write_files(made: Files, python: Path) -> tuple[Draft, str]:
    """All files, and why the outputs could not be found out (empty when they were).

    Raises:
        BadInput: the drawing fails, or a size that no input shows differs between shapes.
    """
    drawing = drawing_text(made.kernel.drawing_text())
    with scratch("import") as folder:
        for file, text in {"drawing.py": drawing, "plain.py": "", "reference.py": _reference(made, "")}.items():
            (folder / file).write_text(text, encoding="utf-8")
        tried = Drawing(python, folder / "reference.py", made.kernel.module.path)
        try:
            found = tried.where_sizes_show(made.shapes[0])
            fixed = _fixed(made, found)
            check = tried.checked(made.shapes, fixed)
            specs = [tried.specs(shape) for shape in (check[0], made.shapes[0])]
        finally:
            tried.close()
    start = made.kernel.module.path.stem
    baseline = made.plain.module.path.stem
    baseline = f"{baseline}_baseline" if baseline == start else baseline
    variants = {
        name: _variant(parts, bindings(parts, found, fixed)) for name, parts in _named(made, start, baseline)
    }
    platform = "tpu" if made.targets[0].startswith("tpu") else "cpu"
    probe = probe_specs(python, start, variants[start], specs, [check[0], made.shapes[0]], platform)
    outputs = probe.outputs or (_UNKNOWN,)
    unsure = "" if probe.outputs else "    # FINISH: type and axes of every output, as in problem.yaml\n"
    texts = {f"variants/{name}.py": text for name, text in variants.items()}
    texts |= {"drawing.py": drawing, "plain.py": made.plain.computing_text(bindings(made.plain, found, fixed))}
    texts["reference.py"] = _reference(made, unsure + "\n".join(array.written() for array in outputs))
    texts["problem.yaml"] = _problem(made, start, baseline, outputs, check)
    return Draft(texts, start, baseline), probe.trouble


def _named(made: Files, start: str, baseline: str) -> list[tuple[str, Split | Offered]]:
    return [(start, made.kernel), (baseline, made.plain)]


def _reference(made: Files, outputs: str) -> str:
    sizes = ", ".join(f'{size}=shape["{size}"]' for size in made.kernel.sizes)
    return filled(
        "drawn_reference.py.tmpl",
        name=made.name,
        config=made.config,
        outputs=outputs,
        sizes=sizes,
        function=made.plain.function,
    )


def _fixed(made: Files, found: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """Sizes that no axis of an input shows, so that a variant has to know them as numbers."""
    fixed = {size: value for size, value in made.shapes[0].items() if size not in found}
    for shape in made.shapes:
        for size, value in fixed.items():
            if shape.get(size) != value:
                message = (
                    f"`{size}` is {value} in one shape and {shape.get(size)} in another, and no input shows it"
                )
                hint = f"keep the shapes with one `{size}` in the configuration; the others are another problem"
                raise BadInput(message, path=made.config, key="shapes", hint=hint)
    return fixed


def _variant(parts: Split | Offered, bound: Mapping[str, str]) -> str:
    """The whole file with its function taking arrays, and the form in which cairn calls it.

    Raises:
        BadInput: the file has a `Config` or `run` of its own.
    """
    text = parts.computing_text(bound)
    if taken := {"Config", "run"} & parts.module.names():
        message = f"it defines {', '.join(sorted(taken))}, which a variant needs for itself"
        raise BadInput(message, path=parts.module.path, hint="rename it in a copy")
    inputs = tuple(Parameter(name, has_default=False) for name in parts.inputs)
    head = "\n\n# how cairn calls it\nimport dataclasses\n\nimport jax\n\n\n"
    ours = head + form(parts.function, Call(inputs, {}, inputs))
    return "".join(f"# FINISH: {line}\n" for line in _unfinished(parts)) + text.rstrip("\n") + "\n" + ours


def _unfinished(parts: Split | Offered) -> list[str]:
    lines = [
        f"`{each}` is not there when a variant runs: copy what is used of it"
        for each in foreign_imports(parts.module)
    ]
    if parts.dropped is not None:
        lines.append(
            f"line {parts.dropped} of {parts.module.path.name} drops gradients, and the compiler drops their work: "
            "return them as outputs, here and in the other files, or delete this line if only the loss matters"
        )
    return lines


def _problem(made: Files, start: str, baseline: str, outputs: Sequence[Array], check: Sequence[Shape]) -> str:
    unknown = list(outputs) == [_UNKNOWN]
    return filled(
        "problem.yaml.tmpl",
        name=made.name,
        title=f"{made.kernel.function} of {made.kernel.module.path.name}",
        start=start,
        baseline=baseline,
        outputs=", ".join(f"{array.name}: {array.dtype}" for array in outputs),
        unsure="  # FINISH: name and type of every output" if unknown else "",
        check=shape_rows(check) + "  # REVIEW: the sizes of the configuration, capped",
        bench=shape_rows(made.shapes),
        families="normal",
        precision='"REVIEW: the contract in words: types in and out, and in which type sums are kept"',
        tunables="# tunables: none yet; name choices here once Config has fields",
        targets=", ".join(made.targets),
    )
