"""`cairn judge`: judge one variant by hand, with the judge that climbs use."""

import sys
from pathlib import Path
from typing import Any

import click

from cairn.cli.backend_options import backend_options
from cairn.cli.output import emit, json_option, registry_option, say


@click.group()
def judge() -> None:
    """Judge variants of a kernel.

    Needs no accelerator, no network and no git: correctness comes from a replay of the lowered program, cost from
    the real TPU compiler and cairn's model of the chip, and it is called "predicted"; a `:device` target measures.
    """


@judge.command("run")
@click.argument("problem", type=click.Path(path_type=Path))
@click.option("--variant", required=True, help="A variant's name, or a path to a Python file.")
@click.option(
    "--target", "target_name", default=None, help="A chip, e.g. tpu-v5p. Default: the problem's first target."
)
@click.option("--against", default=None, metavar="VARIANT", help="What to beat. Default: the problem's baseline.")
@click.option("--margin", type=click.FloatRange(0, 1), default=None, help="Relative gain that counts, e.g. 0.05.")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Override a field of Config.")
@click.option(
    "--trust-interpreter",
    is_flag=True,
    help="Accept on the interpreter's word a kernel whose lowered program cannot be replayed.",
)
@backend_options
@registry_option
@json_option
def run(problem: Path, as_json: bool, registry_path: Path | None, **options: Any) -> None:
    """Judge one variant and write a receipt.

    \b
    Example:
      cairn judge run kernels/gdn --variant pallas_fwd --target tpu-v5p
      cairn judge run kernels/gdn --variant pallas_fwd --set chunk=128 --against pallas_fwd
      cairn judge run kernels/gdn --variant pallas_fwd --target tpu-v5p:device --backend ssh --address tpu-vm

    Exit code 0: KEEP. 1: any other verdict; the table says which and why.
    """
    from cairn.cli.judging import judge_once

    outcome = judge_once(problem, registry_path, options, say=say)
    told = {**outcome.receipt, "receipt": outcome.receipt["id"], "receipts": str(outcome.path)}
    emit(told, as_json, outcome.table)
    sys.exit(0 if outcome.receipt["verdict"] == "KEEP" else 1)


@judge.command("verify")
@click.argument("receipt")
@click.option("--again", is_flag=True, help="RECEIPT is a file of receipts: judge its newest one again.")
@click.option(
    "--problem",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=None,
    help="The problem's folder, where it is not the one that the receipt names.",
)
@registry_option
@json_option
def verify(receipt: str, as_json: bool, registry_path: Path | None, **options: Any) -> None:
    """Judge again what a receipt is about, with fresh seeds, and check the chain that the receipt stands in.

    RECEIPT is a receipt's id, or a file of receipts; of a file only the chain is checked (every hash right, every
    receipt linked to the one before), unless `--again` is given.

    \b
    Example:
      cairn judge verify r-20260101T120000-0123abcd
      cairn judge verify .cairn/runs/judge/receipts.jsonl

    Exit code 0: the chain is unbroken, and the verdict was reproduced. 1: not so. 69: it cannot be judged again here.
    """
    from cairn.cli.judge_verify import verify_receipt

    told, text, code = verify_receipt(receipt, registry_path, options, say=say)
    emit(told, as_json, text)
    sys.exit(code)


@judge.command("check-results")
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--limit", type=click.IntRange(min=1), default=40, show_default=True, help="Show at most this many results."
)
@json_option
def check_results(run_dir: Path, limit: int, as_json: bool) -> None:
    """Say which results of somebody else's run may be believed, and why the others may not.

    RUN_DIR is a pallas-evolve run directory (iteration_*/variants/*/eval_result.json, or one results.json). Files
    only: nothing is run or written.

    \b
    Example:
      cairn judge check-results runs/gmm_20260401_120000 --json

    Exit code 0: all TRUSTED. 1: some are UNTRUSTED; the reasons are listed. 65: no results there.
    """
    from cairn.cli.judge_results import as_data, as_text
    from cairn.judge.foreign.gate import report_results

    report = report_results(run_dir)
    emit(as_data(report, run_dir, limit), as_json, lambda: as_text(report, limit))
    sys.exit(1 if report.counts["untrusted"] else 0)
