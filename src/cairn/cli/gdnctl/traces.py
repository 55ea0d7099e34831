"""`gdnctl hf-download-trace`, `xprof-compare`, `xprof-compare-runs` and `summary-attribution`: profiles."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from cairn.cli.gdnctl.config import Config, find_root, load_config
from cairn.cli.gdnctl.outside import held_device, read_output, require, run_through, words_of
from cairn.cli.output import json_option, say
from cairn.errors import BadInput, Missing, TryAgain, UsageError
from cairn.journal import write_atomic

_FILE = click.Path(path_type=Path)


@click.command("hf-download-trace")
@click.option("--repo-id", required=True, help="Owner and name.")
@click.option("--repo-type", type=click.Choice(["dataset", "model", "space"]), default="dataset", help="Its kind.")
@click.option("--revision", default="main", show_default=True, help="Branch, tag or commit.")
@click.option("--path-prefix", default="", help="Only files below this folder.")
@click.option(
    "--pattern", "patterns", multiple=True, help="Glob instead of the usual names of traces; repeatable."
)
@click.option("--include-xplane", is_flag=True, help="XPlane files as well; they are large.")
@click.option("--limit", type=click.IntRange(min=1), default=None, help="At most so many files.")
@click.option("--output-dir", type=_FILE, default=".profiles/hf", show_default=True, help="Where they go.")
@click.option("--token", envvar="HF_TOKEN", default=None, help="Access token. Default: HF_TOKEN.")
@json_option
def hf_download_trace(output_dir: Path, token: str | None, as_json: bool, **options: Any) -> None:
    """Download trace files from a repository on the hub.

    \b
    Example:
      gdnctl hf-download-trace --repo-id me/traces --path-prefix run-12 --limit 4
    """
    from cairn.profile.hub import TRACES, XPLANES, download_traces

    patterns = [*(options["patterns"] or TRACES), *(XPLANES if options["include_xplane"] else ())]
    repo = (options["repo_id"], options["repo_type"], options["revision"])
    paths = download_traces(repo, patterns, options["path_prefix"], options["limit"], output_dir, token)
    lines = [str(path) for path in paths]
    click.echo(json.dumps({"files": lines}, indent=2) if as_json else "\n".join(lines))


def _compare_options(command: Any) -> Any:
    options = (
        click.option("--cluster", default="us-east5-a", show_default=True, help="Where the device is."),
        click.option("--tpu-name", required=True, help="The device's name."),
        click.option("--top-k", type=click.IntRange(min=1), default=20, show_default=True, help="Rows."),
        click.option(
            "--normalize-positive-deltas-ms",
            type=float,
            default=None,
            help="No effect here: nothing is scaled to a number that it should explain.",
        ),
        click.option(
            "--remote-stage-dir", default=".agents/xprof_compare", show_default=True, help="On the host."
        ),
        click.option("--sync-repo", is_flag=True, help="Copy the project to the host first."),
        click.option("--keep-remote", is_flag=True, help="Leave the staged files on the host."),
        click.option("--output", type=_FILE, default=None, help="Write the JSON there as well."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("xprof-compare")
@_compare_options
@click.option("--before-xplane", type=_FILE, required=True, help="XPlane file.")
@click.option("--after-xplane", type=_FILE, required=True, help="XPlane file.")
def xprof_compare(before_xplane: Path, after_xplane: Path, **options: Any) -> None:
    """Compare two XPlane files: here, or on the device's host where the project names a command for it.

    \b
    Example:
      gdnctl xprof-compare --tpu-name me-gdn --before-xplane a.xplane.pb --after-xplane b.xplane.pb
    """
    _compare(before_xplane, after_xplane, options)


@click.command("xprof-compare-runs")
@_compare_options
@click.option("--before-run-target", required=True, help="Name of the run whose profile is the baseline.")
@click.option("--after-run-target", required=True, help="Name of the other run.")
@click.option("--entity", default="marin-community", show_default=True, help="Of the runs.")
@click.option("--project", default="marin", show_default=True, help="Of the runs.")
@click.option("--alias", default="latest", show_default=True, help="Of the profile artefacts.")
@click.option(
    "--download-root", type=_FILE, default=".profiles/xprof_compare", show_default=True, help="Where to."
)
def xprof_compare_runs(before_run_target: str, after_run_target: str, **options: Any) -> None:
    """Download the profiles of two W&B runs, each into an emptied folder of its own, and compare them.

    \b
    Example:
      gdnctl xprof-compare-runs --tpu-name me-gdn --before-run-target gdn-a --after-run-target gdn-b
    """
    wandb = require("wandb", "pip install wandb, then: wandb login")
    found = []
    for side, target in (("before", before_run_target), ("after", after_run_target)):
        folder = options["download_root"] / side
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        artefact = f"{options['entity']}/{options['project']}/{target}:{options['alias']}"
        code = run_through([wandb, "artifact", "get", artefact, "--root", str(folder)])
        if code:
            raise TryAgain(f"`wandb artifact get {artefact}` ended with code {code}")
        planes = sorted(folder.rglob("*.xplane.pb"))
        if not planes:
            raise Missing(f"{artefact} holds no .xplane.pb", hint="check the run and --alias")
        found.append(planes[-1])
    _compare(found[0], found[1], options)


def _compare(before: Path, after: Path, options: dict[str, Any]) -> None:
    config = load_config(find_root(Path.cwd()))
    for path in (before, after):
        if not path.is_file():
            raise Missing(f"{path} does not exist", hint="name an XPlane file")
    if before.resolve() == after.resolve() or before.read_bytes() == after.read_bytes():
        raise UsageError("both sides are the same trace", hint="name two different files")
    if options["normalize_positive_deltas_ms"] is not None:
        say("note: --normalize-positive-deltas-ms has no effect here: nothing is scaled to what it should explain")
    if config.profile.compare:
        result = _compared_there(config, config.profile.compare, (before, after), options)
    else:
        result = _compared_here(before, after, options["top_k"])
    text = json.dumps(result, indent=2)
    if options["output"]:
        write_atomic(options["output"], text + "\n")
    click.echo(text)


def _compared_here(before: Path, after: Path, top: int) -> dict[str, Any]:
    """The comparison by `cairn profile compare`, with the rows that `summary-attribution` reads."""
    from cairn.cli.profiling import compared_traces

    options = {"steps": None, "steps_before": None, "module": None, "top": top}
    result = compared_traces(before, after, options)
    for fault in result["faults"]:
        say(f"NOT COMPARABLE: {fault}")
    deltas = [{"name": row["name"], "delta_ms": row["delta_us"] / 1e3} for row in result["top"]]
    return {**result, "deltas": deltas}


def _compared_there(config: Config, template: str, files: tuple[Path, Path], options: dict[str, Any]) -> Any:
    """What the project's own command prints on the device's host, with copies of both files."""
    place, _, warning = held_device(options["tpu_name"], options["cluster"])
    if warning:
        say(f"warning: {warning}")
    values = {"name": options["tpu_name"], "place": place, "cluster": place}
    with _staged(config, values, files, options) as (old, new):
        command = words_of(template, {**values, "before": old, "after": new, "top_k": str(options["top_k"])})
        said = read_output([*_remote(config, values, sync=options["sync_repo"]), *command])
    try:
        return json.loads(said)
    except ValueError as error:
        raise BadInput(f"the comparison printed no JSON: {said.strip()[:200]}") from error


@contextlib.contextmanager
def _staged(
    config: Config, values: dict[str, str], files: tuple[Path, Path], options: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    """Copy both files to the host, under names of their own, and remove them afterwards."""
    folder = options["remote_stage_dir"]
    remote = [f"{folder}/{side}-{path.name}" for side, path in zip(("before", "after"), files, strict=True)]
    reach = _remote(config, values, sync=False)
    require(reach[0], "configure [remote] in scripts/gdn/gdnctl.toml (docs/gdnctl.md)")
    read_output([*reach, "mkdir", "-p", folder])
    try:
        for path, there in zip(files, remote, strict=True):
            copy = words_of(config.remote.copy, {**values, "file": str(path), "remote": there})
            require(copy[0], "configure [remote] copy in scripts/gdn/gdnctl.toml (docs/gdnctl.md)")
            read_output(copy)
        yield remote[0], remote[1]
    finally:
        if not options["keep_remote"]:
            run_through([*reach, "rm", "-f", *remote])


def _remote(config: Config, values: dict[str, str], *, sync: bool) -> list[str]:
    return words_of(config.remote.execute if sync else config.remote.execute_no_sync, values)


@click.command("summary-attribution")
@click.option("--summary", type=_FILE, required=True, help="Summary of a profile, JSON.")
@click.option("--baseline-summary", type=_FILE, default=None, help="The one to compare with.")
@click.option("--step-duration-ms", type=float, default=None, help="Time of a step, over what the file says.")
@click.option("--baseline-step-duration-ms", type=float, default=None, help="The same for the baseline.")
@click.option("--upper-bound-step-ms", type=float, default=None, help="Time of a step without the operator.")
@click.option("--gdn-layer-fraction", type=float, default=None, help="Share of layers that have the operator.")
@click.option("--gdn-layers-per-block", type=int, default=None, help="The same, as layers in a block ...")
@click.option("--gdn-block-size", type=int, default=None, help="... of this many.")
@click.option("--baseline-gdn-layer-fraction", type=float, default=None, help="The baseline's share.")
@click.option("--baseline-gdn-layers-per-block", type=int, default=None, help="The same, as layers in a block ...")
@click.option("--baseline-gdn-block-size", type=int, default=None, help="... of this many.")
@click.option(
    "--xprof-compare-json", type=_FILE, default=None, help="What xprof-compare printed; needs a baseline."
)
@click.option("--top-k", type=click.IntRange(min=1), default=5, show_default=True, help="Operations shown.")
@click.option("--output", type=_FILE, default=None, help="Write the JSON there as well.")
def summary_attribution(summary: Path, baseline_summary: Path | None, output: Path | None, **options: Any) -> None:
    """Turn a profile's summary into time budgets of one step, with the share that nothing explains.

    \b
    Example:
      gdnctl summary-attribution --summary after.json --baseline-summary before.json --upper-bound-step-ms 57.5
    """
    from cairn.profile import attribution

    if options["xprof_compare_json"] and baseline_summary is None:
        raise UsageError("--xprof-compare-json needs --baseline-summary", hint="name the baseline's summary")
    top = options["top_k"]
    after = attribution.read_summary(summary, options["step_duration_ms"])
    shape = _shape(options, "")
    found: dict[str, Any] = {"summary": attribution.attribute(after, shape, top)}
    if baseline_summary is not None:
        before = attribution.read_summary(baseline_summary, options["baseline_step_duration_ms"])
        old_shape = _shape(options, "baseline_")
        found["baseline"] = attribution.attribute(before, old_shape, top)
        found["comparison"] = attribution.compare(before, after, (old_shape, shape), top)
        if options["xprof_compare_json"]:
            data = attribution.read_object(options["xprof_compare_json"])
            found["xprof"] = attribution.deltas_of(data, after.step_ms - before.step_ms)
    text = json.dumps(found, indent=2)
    if output:
        write_atomic(output, text + "\n")
    click.echo(text)


def _shape(options: dict[str, Any], prefix: str) -> Any:
    from cairn.profile.attribution import shape_of

    names = ("gdn_layer_fraction", "gdn_layers_per_block", "gdn_block_size")
    fraction, per_block, block = (options[f"{prefix}{name}"] for name in names)
    return shape_of(fraction, per_block, block, options["upper_bound_step_ms"])
