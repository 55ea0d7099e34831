"""`cairn lab`: what a kernel costs on a TPU that is not here, and why."""

import sys
from pathlib import Path
from typing import Any

import click

from cairn.cli.lab_options import drawing_options, subject_options, target_options
from cairn.cli.output import emit, json_option, say


@click.group()
def lab() -> None:
    """A TPU lab without a TPU: compile, predict, explain, compare and sweep kernels.

    The real TPU compiler says what would run; a model of the chip says how long that takes. Every time is predicted,
    never measured; docs/lab.md says how far to trust it.
    """


@lab.command("compile")
@click.argument("subject")
@subject_options
@target_options
def compile_(subject: str, as_json: bool, root: Path | None, **options: Any) -> None:
    """Compile a kernel and print what the compiler said: memory, spills, units, copies, or a classified error.

    SUBJECT is a problem's folder, FILE.py:FUNCTION, package.module:FUNCTION, or a program that jax.export wrote.

    \b
    Example:
      cairn lab compile kernels/gdn --variant pallas_fwd --target all
      cairn lab compile mine.py:matmul --shapes 'bf16[4096,4096], bf16[4096,4096]' --set block=512

    Exit code 0: it compiles for every target. 1: it does not.
    """
    from cairn.cli.lab_answers import compile_all, compile_text
    from cairn.cli.lab_subjects import wish_of

    answers = compile_all(wish_of(subject, root, options))
    emit(_one_or_all(answers, "compiled"), as_json, lambda: compile_text(answers))
    sys.exit(0 if all(answer["failure"] is None for answer in answers) else 1)


@lab.command("predict")
@click.argument("subject")
@subject_options
@target_options
def predict(subject: str, as_json: bool, root: Path | None, **options: Any) -> None:
    """Predict a kernel's time, with an interval and a breakdown, or say why there is no number.

    SUBJECT is a problem's folder, FILE.py:FUNCTION, package.module:FUNCTION, or a program that jax.export wrote.
    A function is given its arguments with --shapes, or with --inputs by a function beside it; without either it is
    called with its settings alone and returns (function, arguments).

    \b
    Example:
      cairn lab predict mine.py:matmul --shapes 'bf16[4096,4096], bf16[4096,4096]' --target tpu-v5e --json
      cairn lab predict mine.py:grouped --shapes 'bf16[4096,512] bf16[8,512,512] i32[8]=512' --target v6e
      cairn lab predict kernels/gdn --variant pallas_fwd --set chunk=128 --target all

    Exit code 0: a number for every target. 1: it does not compile or cannot be predicted; `refused` says why.
    """
    from cairn.cli.lab_answers import predict_all, predict_text
    from cairn.cli.lab_subjects import wish_of

    answers = predict_all(wish_of(subject, root, options))
    emit(_one_or_all(answers, "predictions"), as_json, lambda: predict_text(answers))
    sys.exit(0 if all(answer["us"] is not None for answer in answers) else 1)


@lab.command("explain")
@click.argument("subject")
@subject_options
@target_options
@click.option("--brief", "only_brief", is_flag=True, help="Only the one-screen Markdown brief.")
@drawing_options
def explain(subject: str, as_json: bool, root: Path | None, **options: Any) -> None:
    """Say where a kernel's time goes: hot source lines by cause, position to the floors, what to try and what not.

    SUBJECT is a problem's folder, FILE.py:FUNCTION, package.module:FUNCTION, or a program that jax.export wrote.
    Only the first target is looked at. Every gain is an upper bound: all of the time spent on its cause.

    \b
    Example:
      cairn lab explain kernels/gdn --variant pallas_fwd --target tpu-v5p
      cairn lab explain mine.py:matmul --shapes 'bf16[4096,4096], bf16[4096,4096]' --html profile.html
      cairn lab explain mine.py:matmul --shapes 'bf16[4096,4096], bf16[4096,4096]' --brief

    Exit code 0: explained. 1: it does not compile or cannot be predicted.
    """
    from cairn.cli.lab_explain import draw, explain_data, explain_text, explained, ready_to_draw
    from cairn.cli.lab_subjects import wish_of

    ready_to_draw(options)
    wish = wish_of(subject, root, options)
    found, short = explained(wish, wish.targets[0])
    draw(found, short, options)
    data = short.as_data() if options["only_brief"] else explain_data(found, short)
    emit(data, as_json, short.as_markdown if options["only_brief"] else lambda: explain_text(found, short))
    sys.exit(0 if short.us is not None else 1)


@lab.command("compare")
@click.argument("subject")
@click.argument("other", required=False)
@subject_options
@target_options
@click.option("--against", default=None, metavar="VARIANT", help="Of a problem: the other variant.")
@click.option("--against-set", multiple=True, metavar="FIELD=VALUE", help="What the other one has set otherwise.")
def compare(subject: str, other: str | None, as_json: bool, root: Path | None, **options: Any) -> None:
    """Predict two kernels side by side; a difference that the model cannot resolve is INCONCLUSIVE.

    The other one is OTHER, or the same SUBJECT with --against or --against-set. Settings of one kernel are told apart
    by the model's resolution within a kernel; different kernels by the wider of their intervals.

    \b
    Example:
      cairn lab compare kernels/gdn --variant pallas_fwd --against xla_chunked --target all
      cairn lab compare mine.py:old mine.py:new --shapes 'bf16[4096,4096], bf16[4096,4096]' --target v5e,v6e
      cairn lab compare kernels/gdn --variant pallas_fwd --against-set chunk=128

    Exit code 0: SUBJECT is FASTER on every target. 1: it is not.
    """
    from cairn.cli.lab_compare import compare_text, compared

    rows = compared(subject, other, root, options)
    emit({"kind": "predicted", "comparisons": rows}, as_json, lambda: compare_text(rows))
    sys.exit(0 if all(row["verdict"] == "FASTER" for row in rows) else 1)


@lab.command("sweep")
@click.argument("subject")
@subject_options
@target_options
@click.option(
    "--over", multiple=True, metavar="FIELD=A,B,C", help="Choices of a field. Default: a problem's tunables."
)
@click.option(
    "--where", multiple=True, metavar="CONDITION", help="Only points for which it holds: 'bm * bn <= 65536'."
)
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Points at a time.")
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="Rows to print.")
@click.option("--exhaustive", is_flag=True, help="Try hopeless points too.")
@drawing_options
def sweep(subject: str, as_json: bool, root: Path | None, **options: Any) -> None:
    """Rank a grid of settings by predicted time, on the first target.

    Hopeless points are left out: those at least as large as one that did not fit in vector memory, and those whose
    compile takes more than ten times the median (and 30 s). Answers are kept, so an interrupted sweep goes on.
    --html and --perfetto draw the best point, as `cairn lab explain` would.

    \b
    Example:
      cairn lab sweep kernels/matmul --variant pallas_tiled --target tpu-v5e
      cairn lab sweep mine.py:matmul --shapes 'bf16[2048,2048] bf16[2048,2048]' --over bm=128,256 --over bn=128,256,512

    Exit code 0: at least one point has a number. 1: none has.
    """
    from cairn.cli.lab_explain import draw_best, ready_to_draw
    from cairn.cli.lab_subjects import wish_of
    from cairn.cli.lab_sweep import sweep_text, swept

    ready_to_draw(options)
    wish = wish_of(subject, root, options)
    data = swept(wish, options, say)
    draw_best(wish, data, options)
    emit(data, as_json, lambda: sweep_text(data, options["top"]))
    sys.exit(0 if any(row["us"] is not None for row in data["rows"]) else 1)


@lab.command("interpret")
@click.argument("subject")
@subject_options
@target_options
@click.option("--seed", type=int, default=0, show_default=True, help="Of the inputs and of the shuffled grid.")
@click.option(
    "--way",
    "ways",
    multiple=True,
    type=click.Choice(["plain", "on_wait", "eager", "two_cores"]),
    help="Only these runs; may be repeated. Default: all four.",
)
def interpret(subject: str, as_json: bool, root: Path | None, **options: Any) -> None:
    """Run a kernel in Pallas' interpreters and report races, reads beyond the end, missing waits, unwritten memory.

    Every load and store is simulated, so use small shapes; --timeout bounds all runs together. A problem's variant
    runs on its first check shape and is compared with the reference, a function on random inputs. No finding is no
    proof: docs/lab.md lists what the interpreters cannot see.

    \b
    Example:
      cairn lab interpret kernels/gdn --variant pallas_fwd
      cairn lab interpret mine.py:fetch --shapes 'f32[64,128]' --way on_wait --way eager

    Exit code 0: nothing found. 1: something was, or it does not run.
    """
    from cairn.cli.lab_interpret import interpret_text, interpreted

    data = interpreted(subject, root, options)
    emit(data, as_json, lambda: interpret_text(data))
    sys.exit(1 if data["findings"] or data["failure"] is not None else 0)


@lab.command("cache")
@click.option("--clear", is_flag=True, help="Remove every kept answer.")
@click.option("--dry-run", is_flag=True, help="With --clear: say what would be removed; remove nothing.")
@json_option
def cache(clear: bool, dry_run: bool, as_json: bool) -> None:
    """Show or clear the answers that are kept between runs.

    They lie below $CAIRN_CACHE (default: $XDG_CACHE_HOME/cairn or ~/.cache/cairn); CAIRN_CACHE=off keeps none, and
    CAIRN_CACHE_MIB bounds them (default 1024).

    \b
    Example:
      cairn lab cache
      cairn lab cache --clear
    """
    from cairn.lab.cache import CacheUse, default_cache

    store = default_cache()
    use = CacheUse(0, 0) if store is None else store.clear() if clear and not dry_run else store.use()
    folder = None if store is None else str(store.folder)
    data = {
        "folder": folder,
        "entries": use.entries,
        "bytes": use.bytes,
        "max_bytes": None if store is None else store.max_bytes,
        "cleared": clear and not dry_run,
    }
    what = "removed" if data["cleared"] else "would be removed" if clear else "kept"
    text = (
        f"{use.entries} answers, {use.bytes / 2**20:.1f} MiB {what} in {folder}" if folder else "the cache is off"
    )
    emit(data, as_json, text)


def _one_or_all(answers: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """One target: its answer itself. Several: a list of them."""
    return answers[0] if len(answers) == 1 else {name: answers}
