"""What `cairn judge verify` does between its options and its exit code."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cairn.cli.progress import StageLine
from cairn.errors import Missing
from cairn.execution.interpreter import find_python
from cairn.judge.receipt import ReceiptBook
from cairn.judge.verification import judge_again
from cairn.registry import Registry, load_registry

_CODES = {"reproduced": 0, "not_reproduced": 1, "cannot": Missing.exit_code}


def verify_receipt(
    name: str, registry_path: Path | None, options: Mapping[str, Any], say: Callable[[str], None]
) -> tuple[dict[str, Any], str, int]:
    """Check the chain of the book that holds the receipt, then judge the receipt again if one is named.

    Returns what `--json` prints, the same as text, and the exit code.

    Raises:
        Missing: there is no such file or receipt.
    """
    file = Path(name).is_file()
    book = ReceiptBook(Path(name)) if file else _book_with(name, registry_path)
    broken = book.broken_links()
    count = len(book.all())
    told: dict[str, Any] = {"receipts": count, "broken": broken, "file": str(book.path)}
    text = f"{count} receipts, chain unbroken"
    if broken or not count:
        return told, f"{count} receipts, broken at {', '.join(broken)}" if broken else "no receipts", 1
    if file and not options["again"]:
        return told, text, 0
    receipt = book.all()[-1] if file else book.find(id=name)
    assert receipt is not None
    registry = load_registry(Path.cwd(), registry_path)
    say(
        f"judging {receipt['problem']}/{receipt['variant']['name']} for {receipt['target']} again, as {receipt['id']}"
    )
    folder = options["folder"] or _folder_of(receipt, registry)
    found = judge_again(receipt, book, folder, find_python(registry), StageLine(say))
    told |= {"id": receipt["id"], **found.record()}
    return told, f"{text}\n{receipt['id']}: {found.outcome}: {found.why}", _CODES[found.outcome]


def _folder_of(receipt: Mapping[str, Any], registry: Registry) -> Path:
    """The problem that a receipt names: where it says, seen from this project, else by its name."""
    named = registry.root / str(receipt.get("problem_folder", ""))  # absolute where there was no checkout
    return named if (named / "problem.yaml").is_file() else registry.paths.kernels / str(receipt["problem"])


def _book_with(receipt_id: str, registry_path: Path | None) -> ReceiptBook:
    """The book below the project's runs folder that holds a receipt."""
    runs = load_registry(Path.cwd(), registry_path).paths.runs
    for path in sorted(runs.rglob("receipts.jsonl")) if runs.is_dir() else []:
        book = ReceiptBook(path)
        if book.find(id=receipt_id) is not None:
            return book
    raise Missing(f"no receipt `{receipt_id}` below {runs}", hint="give a receipt's id, or a file of receipts")
