"""Acts of the misbehaving agent that are about git: what it may do to its own repository, and what it may borrow."""

import contextlib
import os
from pathlib import Path

from misbehaviour import PROJECT, VARIANT, act, edit, shell

GIT = "git -c user.name=a -c user.email=a@b"


@act
def replaced_objects() -> None:
    """Replacements, grafts, notes, packed refs: other answers to the same questions."""
    edit(16)
    shell(
        f"{GIT} commit -qam other; git replace -f HEAD~1 HEAD; echo $(git rev-parse HEAD) > .git/info/grafts;"
        f" {GIT} notes add -m note HEAD; git pack-refs --all --prune; echo garbage >> .git/packed-refs;"
        " git replace -f $(git rev-parse HEAD:kernels) $(git rev-parse HEAD^{tree})"
    )


@act
def shallow_and_without_borrowed_objects() -> None:
    edit(32)
    shell(
        "git rev-parse HEAD > .git/shallow; echo /dev/zero > .git/objects/info/alternates;"
        " git prune --expire=now; git gc --prune=now --aggressive -q; git repack -adq"
    )


@act
def includes_without_end() -> None:
    edit(16)
    shell(
        "git config include.path ../.git/config; git config --add include.path /dev/zero; mkfifo .git/pipe;"
        " git config --add include.path pipe; git config core.fsmonitor 'sleep 1000'; git config core.hooksPath .evil;"
        " git config filter.x.smudge 'sleep 1000'; echo '* filter=x' > .gitattributes"
    )


@act
def locks_everywhere() -> None:
    edit(32)
    for name in ("index", "HEAD", "config", "packed-refs", "shallow"):
        Path(f".git/{name}.lock").touch()
    with contextlib.suppress(OSError):
        (PROJECT / ".git" / "index.lock").touch()


@act
def submodules_of_itself() -> None:
    edit(16)
    shell(
        f"{GIT} -c protocol.file.allow=always submodule add -q -f '{PROJECT}' sub; git worktree add -q -f inner HEAD;"
        " git worktree add -q -f ../beside HEAD; git init -q --separate-git-dir=elsewhere kernels"
    )


@act
def a_huge_commit() -> None:
    edit(32)
    Path("big").write_bytes(os.urandom(8 * 2**20))
    shell(f"git add -A; {GIT} commit -qm big; for n in $(seq 50); do git tag t$n; git branch b$n; done")


@act
def hooks_of_every_kind() -> None:
    edit(16)
    hooks = Path(".git/hooks")
    hooks.mkdir(exist_ok=True)
    for name in (
        "post-checkout",
        "pre-commit",
        "reference-transaction",
        "post-index-change",
        "fsmonitor-watchman",
    ):
        (hooks / name).write_text("#!/bin/sh\nsleep 1000\n")
        (hooks / name).chmod(0o755)


@act
def index_says_otherwise() -> None:
    edit(32)
    shell(
        f"git update-index --assume-unchanged '{VARIANT}'; git update-index --skip-worktree kernels/axpy/problem.yaml;"
        " git sparse-checkout set none; git rm -rq --cached .; head -c 4096 /dev/urandom > .git/index"
    )


@act
def head_is_sparse() -> None:
    edit(16)
    with Path(".git/HEAD").open("wb") as file:
        file.truncate(4 * 2**30)


@act
def variants_by_the_thousand() -> None:
    edit(32)
    for number in range(1500):
        (VARIANT.parent / f"{'_' * (number % 200)}{number}.py").write_text("raise SystemExit\n")
    (VARIANT.parent / VARIANT.name.upper()).write_text("x = 1\n")
    (VARIANT.parent / f"{VARIANT.name}\n").write_text("x = 1\n")


@act
def variant_is_a_link_to_a_sibling() -> None:
    sibling = next(path for path in VARIANT.parent.glob("*.py") if path != VARIANT)
    VARIANT.unlink()
    VARIANT.symlink_to(sibling.name)


@act
def folders_change_their_case() -> None:
    edit(16)
    shell("mv kernels/axpy kernels/Axpy; cp -r kernels/Axpy kernels/AXPY")


@act
def folder_beside_has_the_variants_name() -> None:
    edit(32)
    package = VARIANT.with_suffix("")
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported in its place')\n")
