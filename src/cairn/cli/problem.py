"""`cairn problem`: make a problem from what the user has, and say whether it is fit to climb."""

import sys
from pathlib import Path
from typing import Any

import click

from cairn.cli.output import dry_run_option, emit, json_option, registry_option, root_option, say


@click.group()
def problem() -> None:
    """Make problems, and examine them before anything is climbed.

    A problem is a folder with problem.yaml (shapes, tolerance, targets), reference.py (the truth in float64) and
    variants. The judge trusts the first two, so what cannot be known is left for you, marked FINISH or REVIEW.
    """


@problem.command("new")
@click.argument("function", metavar="MODULE:FUNCTION")
@click.option(
    "--baseline", metavar="MODULE:FUNCTION", help="The plain version: sets tolerance, first thing to beat."
)
@click.option("--oracle", metavar="MODULE:FUNCTION", help="Computes the truth in float64. Default: the baseline.")
@click.option("--name", help="The problem's name. Default: the function's.")
@click.option(
    "--input", "inputs", multiple=True, metavar="NAME:TYPE[AXES]", help="An input, e.g. 'x:bfloat16[B,T,128]'."
)
@click.option(
    "--output", "outputs", multiple=True, metavar="NAME:TYPE[AXES]", help="An output. Default: found by a try."
)
@click.option("--shape", "bench", multiple=True, metavar="SIZES", help="A shape that matters, e.g. B=8,T=4096.")
@click.option(
    "--check", "check", multiple=True, metavar="SIZES", help="A small shape. Default: --shape, capped at 256."
)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A parameter that is no array.")
@click.option("--target", "targets", multiple=True, metavar="CHIP", help="Default: the registry's, else tpu-v5p.")
@root_option
@registry_option
@dry_run_option
@json_option
def new(root: Path | None, registry_path: Path | None, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Make a problem from a function of your project. Its code is copied, nothing of yours is changed.

    MODULE is a dotted name or a path to a Python file. The function and what it needs of its module become the
    variant that a climb starts from; the baseline becomes another. One try in a locked-in process tells the outputs.

    \b
    Example:
      cairn problem new my_pkg.kernels:softmax --baseline my_pkg.plain:softmax \\
        --input 'x:bfloat16[R,C]' --shape R=8192,C=2048
      cairn problem check kernels/softmax

    Exit code 0: written, whatever is left to finish is listed. 65: a file is no Python. 69: no such module.
    """
    from cairn.cli.problem_files import make

    result = make(root, registry_path, given, dry_run=dry_run)
    emit(result.data, as_json, result.text)


@problem.command("check")
@click.argument("folder", metavar="PROBLEM", type=click.Path(path_type=Path))
@click.option("--target", "target_name", default=None, help="Default: the problem's first target.")
@registry_option
@json_option
def check(folder: Path, target_name: str | None, registry_path: Path | None, as_json: bool) -> None:
    """Say whether a problem is fit to climb, and why not.

    Lists what is unfinished; then the judge tries the reference, shows the problem wrong answers that must fail
    (zeros, an input given back, the mean, the truth for other inputs), and judges baseline and start. One minute.

    \b
    Example:
      cairn problem check kernels/matmul
      cairn problem check kernels/softmax --target tpu-v5e --json

    Exit code 0: fit. 1: not fit; the reasons are listed.
    """
    from cairn.cli.problem_files import examine_folder

    result = examine_folder(folder, target_name, registry_path, say)
    emit(result.data, as_json, result.text)
    sys.exit(0 if result.data["fit"] else 1)


@problem.command("import")
@click.argument("system", type=click.Choice(["pallas-evolve"]))
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--name", help="The problem's name. Default: kernel.name of the config.")
@click.option(
    "--target", "targets", multiple=True, metavar="CHIP", help="Default: the chip that CONFIG names, else tpu-v5p."
)
@root_option
@registry_option
@dry_run_option
@json_option
def import_(root: Path | None, registry_path: Path | None, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Make a problem from the configuration of another system; its files are read, not changed.

    `pallas-evolve`: CONFIG.yaml names a template with EVOLVE-BLOCK markers, a reference and shapes. Both files draw
    their own inputs; here the drawing moves into reference.py, so that the judge owns the seeds, and what remains of
    the template becomes the variant that a climb starts from, of the reference the baseline.

    \b
    Example:
      cairn problem import pallas-evolve examples/matmul.yaml --target tpu-v5p
    """
    from cairn.cli.problem_files import take_over

    result = take_over(root, registry_path, given, dry_run=dry_run)
    emit(result.data, as_json, result.text)
