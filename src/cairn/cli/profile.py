"""`cairn profile`: record, read and compare profiles; every figure is for one step, and the divisor is stated."""

import sys
from pathlib import Path
from typing import Any

import click

from cairn.cli.output import dry_run_option, emit, json_option, registry_option, say

_PATH = click.Path(path_type=Path)
_STEPS = click.IntRange(min=1)


@click.group()
def profile() -> None:
    """Record and read profiles of `jax.profiler`: what a step's time goes into, and what changed between two.

    TRACE is a `.xplane.pb` or `.trace.json.gz` file, or the folder that was given to the profiler (its newest
    recording is meant). Figures are for one step; where the number of steps comes from is said with them.
    """


def _reading_options(command: Any) -> Any:
    options = (
        click.option(
            "--steps", type=_STEPS, default=None, help="How many steps it covers, over what it says itself."
        ),
        click.option("--module", default=None, help="Take executions of this program as the steps."),
        click.option("--top", type=click.IntRange(min=1), default=15, show_default=True, help="Operations shown."),
        click.option("--output", type=_PATH, default=None, help="Write the JSON there as well."),
        json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@profile.command()
@click.argument("trace", type=_PATH)
@_reading_options
@click.option(
    "--brief", "as_brief", is_flag=True, help="One screen of Markdown for an agent: bottleneck and evidence."
)
@click.option(
    "--floor-us", type=click.FloatRange(min=0, min_open=True), help="What a step can take at best; brief."
)
def summarize(trace: Path, as_json: bool, output: Path | None, as_brief: bool, **options: Any) -> None:
    """Say what the time of a step goes into: kinds of operations, the hottest ones, idle time.

    \b
    Example:
      cairn profile summarize .profiles/run-1
      cairn profile summarize host.xplane.pb --module jit_train_step --brief
    """
    from cairn.cli.profile_tables import summary_text
    from cairn.cli.profiling import summarized, written
    from cairn.profile.brief import as_markdown, brief

    record = summarized(trace, options["steps"], options["module"])
    found = brief(record, options["floor_us"]) if as_brief else record
    written(output, found)
    record = {**record, "hot_ops": record["hot_ops"][: options["top"]]}  # the file has all of them
    found = found if as_brief else record
    emit(found, as_json, (lambda: as_markdown(found)) if as_brief else (lambda: summary_text(record)))


@profile.command()
@click.argument("before", type=_PATH)
@click.argument("after", type=_PATH)
@_reading_options
@click.option("--steps-before", type=_STEPS, default=None, help="Steps that BEFORE covers. Default: --steps.")
@click.option("--allow-unequal", is_flag=True, help="Exit with 0 although the two cannot be compared.")
def compare(before: Path, after: Path, as_json: bool, output: Path | None, **options: Any) -> None:
    """Say what changed between two profiles, after proof that they can be compared.

    Refused (exit code 1): the same recording twice, unequal numbers of steps, operations that do not divide into the
    steps, and nearly all operations off by one factor, which is a wrong divisor and not a gain.

    \b
    Example:
      cairn profile compare .profiles/before .profiles/after --module jit_train_step
    """
    from cairn.cli.profile_tables import comparison_text
    from cairn.cli.profiling import compared_traces, written

    found = compared_traces(before, after, options)
    written(output, found)
    emit(found, as_json, lambda: comparison_text(found))
    if found["faults"] and not options["allow_unequal"]:
        sys.exit(1)


@profile.command()
@click.argument("trace", type=_PATH)
@click.option("--baseline", type=_PATH, default=None, help="A second trace or summary, to compare with.")
@_reading_options
@click.option(
    "--step-duration-ms", type=click.FloatRange(min=0, min_open=True), help="Of one step, measured apart."
)
@click.option(
    "--baseline-step-duration-ms", type=click.FloatRange(min=0, min_open=True), help="The same of the baseline."
)
@click.option(
    "--upper-bound-step-ms", type=click.FloatRange(min=0, min_open=True), help="A step without the kernel."
)
@click.option(
    "--layer-fraction", type=click.FloatRange(0, 1), default=None, help="Share of layers with the kernel."
)
@click.option(
    "--baseline-layer-fraction", type=click.FloatRange(0, 1), default=None, help="The same of the baseline."
)
def attribute(trace: Path, baseline: Path | None, as_json: bool, output: Path | None, **options: Any) -> None:
    """Split a step into budgets, with the share that nothing explains; nothing is scaled so that it adds up.

    TRACE and the baseline may also be summaries, as `cairn profile summarize --output` writes them.

    \b
    Example:
      cairn profile attribute .profiles/after --baseline .profiles/before --upper-bound-step-ms 57.5
    """
    from cairn.cli.profile_tables import attribution_text
    from cairn.cli.profiling import attributed, written

    found = attributed(trace, baseline, options)
    written(output, found)
    emit(found, as_json, lambda: attribution_text(found))


@profile.command()
@click.argument("problem", type=_PATH)
@click.option("--variant", default=None, help="A variant's name, or a path to a Python file. Default: the start.")
@click.option("--target", "target_name", default="cpu:device", show_default=True, help="A device of this machine.")
@click.option(
    "--shape", "shape_index", type=click.IntRange(min=0), default=0, show_default=True, help="Bench shape."
)
@click.option("--check-shape", is_flag=True, help="Take the small check shapes instead of the bench shapes.")
@click.option("--steps", type=_STEPS, default=5, show_default=True, help="Calls recorded, after one to warm up.")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Override a field of Config.")
@click.option("--out", type=_PATH, default=Path(".profiles"), show_default=True, help="Folder of recordings.")
@registry_option
@dry_run_option
@json_option
def capture(problem: Path, as_json: bool, **options: Any) -> None:
    """Record a variant on a device of this machine; each recording gets a folder of its own.

    \b
    Example:
      cairn profile capture kernels/matmul --variant xla --target cpu:device --check-shape
    """
    from cairn.cli.profiling import captured

    found = captured(problem, options, say)
    emit(found, as_json, f"{found['folder']}\n  next: cairn profile summarize {found['folder']}")


@profile.command()
@click.argument("source", metavar="REPOSITORY|wandb:RUN")
@click.option("--repo-type", default="dataset", show_default=True, help="dataset, model or space.")
@click.option("--revision", default="main", show_default=True, help="Branch, tag or commit.")
@click.option("--path-prefix", default="", help="Only files below this folder.")
@click.option(
    "--pattern", "patterns", multiple=True, help="Glob instead of the usual names of traces; repeatable."
)
@click.option("--include-xplane", is_flag=True, help="XPlane files as well; they are large.")
@click.option("--limit", type=_STEPS, default=None, help="At most so many files.")
@click.option(
    "--out", type=_PATH, default=None, help="Where they go. Default: .profiles/hub, or .profiles/wandb/RUN."
)
@click.option("--token", envvar="HF_TOKEN", default=None, help="Access token of the hub. Default: HF_TOKEN.")
@json_option
def fetch(source: str, as_json: bool, **options: Any) -> None:
    """Download traces from a repository of the Hugging Face hub, or from the artifacts of a W&B run.

    A W&B run is `wandb:ENTITY/PROJECT/RUN_ID`, a single artifact `wandb:ENTITY/PROJECT/NAME:ALIAS`; the key is
    W&B's own (`wandb login`, or WANDB_API_KEY).

    \b
    Examples:
      cairn profile fetch me/traces --path-prefix run-12 --limit 4
      cairn profile fetch wandb:me/kernels/1a2b3c4d --include-xplane
    """
    from cairn.cli.profiling import fetched

    files = [str(path) for path in fetched(source, options)]
    emit({"files": files}, as_json, "\n".join(files))
