"""`cairn init` on the shapes that repositories have, and its undoing: not a byte is left, not a byte is lost."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cairn.adopt.changes import RECORD, Change, apply, undo
from cairn.cli.main import main
from cairn.errors import Missing
from workspace import git

SEED_REGISTRY = """{
    "domain": "cuda",
    "version": "1.0.0",
    "skills": {"softmax-online": {"type": "result", "created": "2026-01-01"}},
    "paths": {"reports": "benchmark_results/", "experiment_log": "references/experiment-log.md"}
}"""


def cairn(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """A command as a user would call it in a folder, but without a new interpreter: exit code, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as ended:
            return int(ended.code or 0), out.getvalue(), err.getvalue()
    raise AssertionError("a command always exits")


def init(folder: Path, *arguments: str) -> tuple[int, dict[str, object], str]:
    code, out, err = cairn(folder, "init", "--json", *arguments)
    return code, json.loads(out) if out else {}, err


def everything(folder: Path) -> dict[str, bytes | str]:
    """Every file below a folder with its bytes, links with their targets, the insides of .git included."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file():
            found[name] = path.read_bytes()
        else:
            found[f"{name}/"] = ""
    return found


def empty(root: Path) -> Path:
    git(root, "init", "-q")
    return root


def with_commits(root: Path) -> Path:
    empty(root)
    (root / "kernel.py").write_text("from jax.experimental import pallas as pl\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "start")
    return root


def dirty(root: Path) -> Path:
    with_commits(root)
    (root / "kernel.py").write_text("half a thought")
    (root / ".gitignore").write_bytes(b"*.log\r\n.venv/\r\nlast line without an end")
    (root / ".gitattributes").write_text("*.bin binary\n")
    git(root, "add", ".gitattributes")
    return root


def monorepo(root: Path) -> Path:
    with_commits(root)
    package = root / "packages" / "fast kernels"
    (package / "src").mkdir(parents=True)
    (package / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    return package / "src"


def seeds_registry(root: Path) -> Path:
    with_commits(root)
    (root / ".codex/skills").mkdir(parents=True)
    (root / ".codex/skills/registry.json").write_text(SEED_REGISTRY)
    (root / "AGENT.md").write_text("# Learnings\n\n## Failure Patterns\n\n### [F001] Kept\n- **Symptom**: x\n")
    return root


def worktree(root: Path) -> Path:
    main = root / "main"
    main.mkdir()
    with_commits(main)
    git(main, "worktree", "add", "-q", "-b", "side", str(root / "side branch"))
    return root / "side branch"


def detached(root: Path) -> Path:
    with_commits(root)
    git(root, "checkout", "-q", "--detach")
    return root


def submodule(root: Path) -> Path:
    (root / "inner").mkdir()
    with_commits(root / "inner")
    (root / "outer").mkdir()
    with_commits(root / "outer")
    git(root / "outer", "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(root / "inner"), "sub")
    return root / "outer" / "sub"


def no_git(root: Path) -> Path:
    (root / "notes.md").write_text("no repository\n")
    return root


def odd_names(root: Path) -> Path:
    folder = root / "mein käfig $(x) 'q'"
    folder.mkdir()
    return with_commits(folder)


def own_kernels(root: Path) -> Path:
    with_commits(root)
    (root / "kernels").mkdir()
    (root / "kernels" / "softmax.py").write_text("import triton\n")
    return root


def linked_files(root: Path) -> Path:
    with_commits(root)
    (root / "shared.gitignore").write_text("*.tmp\n")
    (root / ".gitignore").symlink_to("shared.gitignore")
    return root


SHAPES: list[Callable[[Path], Path]] = [
    empty, with_commits, dirty, monorepo, seeds_registry, worktree, detached, submodule, no_git, odd_names,
    own_kernels, linked_files,
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_init_again_and_undo(shape: Callable[[Path], Path], tmp_path: Path) -> None:
    start = shape(tmp_path)
    before = everything(tmp_path)

    code, shown, _ = init(start, "--dry-run")
    assert code == 0
    assert shown["changes"]
    assert everything(tmp_path) == before

    code, done, error = init(start)
    assert code == 0, error
    root = Path(str(done["root"]))
    assert [change["path"] for change in done["changes"]] == [change["path"] for change in shown["changes"]]  # type: ignore[attr-defined]
    assert (root / "AGENT.md").exists()
    assert Path(json.loads(cairn(start, "learnings", "lint", "--json")[1])["path"]).parent == root
    adopted = everything(tmp_path)

    assert init(start)[1]["changes"] == []
    assert everything(tmp_path) == adopted

    code, data, error = init(start, "--undo", "--dry-run")
    assert code == 0, error
    assert everything(tmp_path) == adopted
    code, data, error = init(start, "--undo")
    assert code == 0, error
    assert data["left"] == []
    assert everything(tmp_path) == before


def test_what_it_writes(tmp_path: Path) -> None:
    with_commits(tmp_path)
    init(tmp_path, "--target", "tpu-v6e")
    registry = json.loads((tmp_path / "registry.json").read_text())
    assert registry["domain"] == "pallas"
    assert registry["targets"] == ["tpu-v6e"]
    assert registry["paths"]["learnings"] == "AGENT.md"
    assert ".cairn/" in (tmp_path / ".gitignore").read_text().splitlines()
    assert "/AGENT.md merge=cairn-learnings" in (tmp_path / ".gitattributes").read_text()
    assert git(tmp_path, "config", "--get", "merge.cairn-learnings.driver").startswith("cairn learnings merge")
    assert ".cairn" not in git(tmp_path, "status", "--short", "-uall")


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("import triton", "cuda"),
        ("from unsloth import FastLanguageModel", "unsloth"),
        ("import wandb", "research"),
        ("x = 1", "research"),
        ("pl.pallas_call(f)", "pallas"),
    ],
)
def test_the_domain_is_found_or_named(text: str, domain: str, tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(text)
    assert init(tmp_path, "--dry-run")[1]["domain"] == domain
    assert init(tmp_path, "--dry-run", "--domain", "cuda")[1]["domain"] == "cuda"


def test_a_kernels_folder_of_the_user_is_left_alone(tmp_path: Path) -> None:
    init(own_kernels(tmp_path))
    assert json.loads((tmp_path / "registry.json").read_text())["paths"]["kernels"] == "kernel_problems"


def test_a_registry_of_another_pack_stays_and_works(tmp_path: Path) -> None:
    init(seeds_registry(tmp_path))
    assert (tmp_path / ".codex/skills/registry.json").read_text() == SEED_REGISTRY
    assert not (tmp_path / "registry.json").exists()
    assert "[F001] Kept" in (tmp_path / "AGENT.md").read_text()


def test_the_home_folder_is_no_project(private_home: Path) -> None:
    code, _, error = init(private_home)
    assert code == 2
    assert "is no project" in error
    assert not (private_home / "registry.json").exists()


def test_a_broken_registry_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    with_commits(tmp_path)
    (tmp_path / "registry.json").write_text('{"domain": 3}')
    before = everything(tmp_path)
    code, _, error = init(tmp_path)
    assert code == 65
    assert "registry.json:1: domain" in error
    assert everything(tmp_path) == before


def test_a_folder_where_a_file_should_be(tmp_path: Path) -> None:
    with_commits(tmp_path)
    (tmp_path / ".gitignore").mkdir()
    before = everything(tmp_path)
    code, _, error = init(tmp_path)
    assert code == 65
    assert ".gitignore" in error
    assert everything(tmp_path) == before


def test_what_was_edited_since_is_left(tmp_path: Path) -> None:
    with_commits(tmp_path)
    init(tmp_path)
    (tmp_path / "AGENT.md").write_text("my own words\n")
    code, data, _ = init(tmp_path, "--undo")
    assert (code, data["left"]) == (1, ["AGENT.md"])
    assert (tmp_path / "AGENT.md").read_text() == "my own words\n"
    assert not (tmp_path / "registry.json").exists()
    assert (tmp_path / RECORD).exists()  # still knows what AGENT.md was: nothing
    (tmp_path / "AGENT.md").unlink()
    assert init(tmp_path, "--undo")[0] == 0
    assert not (tmp_path / RECORD.parent).exists()


def test_undo_without_an_init(tmp_path: Path) -> None:
    code, _, error = init(tmp_path, "--undo")
    assert code == 69
    assert "nothing to undo" in error


def test_a_kill_between_two_writes_can_be_undone_and_continued(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old\xff")
    changes = [Change(Path("a"), b"new", ""), Change(Path("deep/b"), b"b", ""), Change(Path("c/d"), b"", "")]
    before = everything(tmp_path)
    with pytest.raises(Missing, match="cannot write"):
        apply(tmp_path, [*changes[:2], Change(Path("deep/b/no"), b"", "")])
    assert (tmp_path / "a").read_bytes() == b"new"
    assert [change.path.as_posix() for change in apply(tmp_path, changes)] == ["c/d"]
    assert set(undo(tmp_path).removed) == {"deep/b", "c/d"}
    assert everything(tmp_path) == before
