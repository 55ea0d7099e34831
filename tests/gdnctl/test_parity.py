"""The table of docs/gdnctl.md that says what proves each row, and what no other test proves."""

import ast
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from cairn.cli.gdnctl import gdnctl
from cairn.cli.gdnctl.config import Config
from cairn.cli.gdnctl.holding import Device, open_allocator
from cairn.cli.gdnctl.loop_options import GROUPS, plan_loop
from cairn.execution.leases_command import CommandAllocator
from gdnctl.project import Project, make_project
from profile_traces import as_xplane, tpu_steps

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (?P<older>[^|]+) \| [^|]+ \| (?P<tests>`tests/[^|]+) \|$", re.M)


def rows(page: str) -> list[tuple[list[str], list[str]]]:
    """What each row is about, and the tests that it names."""
    return [(_quoted(row["older"]), _quoted(row["tests"])) for row in ROW.finditer(page)]


def _quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def faults(page: str) -> list[str]:
    """What the table leaves out, and tests that it names and that do not exist."""
    found, named = rows(page), set[str]()
    wrong = []
    for about, tests in found:
        named |= set(about)
        wrong += [f"there is no {test}" for test in tests if not _exists(test)]
    flags = [flag.name.partition("/")[0] for group in GROUPS.values() for flag in group if not flag.idle]
    return wrong + [f"no row for {name}" for name in (*flags, *gdnctl.commands) if name not in named]


def _exists(test: str) -> bool:
    path, _, name = test.partition("::")
    if not (ROOT / path).is_file():
        return False
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body)


def test_every_row_of_the_table_is_proved() -> None:
    page = (ROOT / "docs/gdnctl.md").read_text(encoding="utf-8")
    assert len(rows(page)) > 25
    assert faults(page) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("`--max-failures` |", "`--max-failure` |"),
        ("test_ray_jobs", "test_ray_job"),
        ("| `lint-log` |", "| lint |"),
    ],
)
def test_a_planted_fault_is_found(old: str, new: str) -> None:
    page = (ROOT / "docs/gdnctl.md").read_text(encoding="utf-8")
    assert len(faults(page.replace(old, new))) == 1


def values(**given: object) -> dict[str, object]:
    plain = {flag.parameter: (() if flag.many else flag.default) for group in GROUPS.values() for flag in group}
    return {**plain, "iterations": 3, **given}


def test_every_flag_with_an_effect_reaches_the_climb() -> None:
    given = values(
        **{
            "codex_bin": "/opt/codex",
            "codex_profile": "night",
            "codex_ephemeral": False,
            "model": "gpt-5.3-codex",
        },
        **{"reasoning_effort": "high", "search": True, "codex_timeout_seconds": 10.0, "sleep_seconds": 1.0},
        **{"codex_idle_timeout_seconds": 5.0, "max_failures": 3, "post_check_retries": 4, "post_check": ("true",)},
        **{
            "post_check_policy": "continue",
            "sync_main_policy": "once",
            "sync_main_remote": "up",
            "resilient": True,
        },
        **{"sync_main_branch": "trunk", "sync_main_conflict_policy": "skip", "no_commit_policy": "continue"},
        **{"directive": ("a",), "directive_file": ("b",), "directive_preset": ("c",), "prompt_file": "p.md"},
        **{"variant": "v", "target": "tpu-v6e", "dev_tpu_type": "v5p-8"},
    )
    options = plan_loop(given, set(given)).options
    assert options["agent_binary"] == "/opt/codex"
    assert options["agent_profile"] == "night"
    assert options["agent_ephemeral"] is False
    assert (options["model"], options["reasoning_effort"], options["search"]) == ("gpt-5.3-codex", "high", True)
    assert (options["agent_wall"], options["agent_idle"], options["pause_s"]) == (10.0, 5.0, 1.0)
    assert (options["max_failures"], options["post_check_retries"], options["post_checks"]) == (3, 4, ("true",))
    assert (options["post_check_policy"], options["no_commit_policy"]) == ("continue", "continue")
    synced = [options[f"sync_main_{name}"] for name in ("policy", "remote", "branch", "conflict_policy")]
    assert synced == ["once", "up", "trunk", "skip"]
    assert options["directives"] == ("a",)
    assert options["directive_files"] == (Path("b"),)
    assert options["directive_presets"] == ("c",)
    assert (options["prompt_file"], options["variant"], options["target_name"]) == (Path("p.md"), "v", "tpu-v6e")
    assert plan_loop(values(dev_tpu_type="v5p-8"), ()).options["target_name"] == "tpu-v5p"
    dirty = [plan_loop(values(allow_dirty=given), ()).options["dirty_policy"] for given in (True, False)]
    assert dirty == ["allow", "fail"]
    nothing = [plan_loop(values(allow_no_commit=given), ()).options["no_commit_policy"] for given in (True, False)]
    assert nothing == ["continue", "fail"]


def test_the_allocators_words_and_log(tmp_path: Path) -> None:
    device = Device("me-gdn", "v5p-8", tmp_path / "own.log", ready_s=1.0, stop_s=2.0, sync="lib")
    allocator = open_allocator(Config(), device)
    assert isinstance(allocator, CommandAllocator)
    assert allocator.line("x --sync {sync} --at {cluster} {type}", "here") == [
        "x",
        "--sync",
        "lib",
        "--at",
        "here",
        "v5p-8",
    ]
    assert (allocator.log, allocator.ready_s, allocator.stop_s) == (tmp_path / "own.log", 1.0, 2.0)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path)


def test_a_dry_run_says_what_would_be_climbed(project: Project) -> None:
    shutil.move(project.root / "kernels/gdn", project.root / "kernels/other")
    problem = project.root / "kernels/other/problem.yaml"
    problem.write_text(problem.read_text().replace("name: gdn", "name: other"))
    words = "--problem kernels/other --variant pallas_axpy --target tpu-v5p --log-dir .agents/logs/mine"
    elsewhere = f"cd / && python '{project.root}/scripts/gdn/gdnctl.py' codex-loop --workdir '{project.root}'"
    done = project.run(f"{elsewhere} --iterations 2 {words} --dry-run --json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert (plan["variant"], plan["target"], plan["attempts"], plan["agent"]) == (
        "pallas_axpy",
        "tpu-v5p",
        2,
        "codex",
    )
    assert plan["problem"] == str(problem.parent)


RAY = """#!/bin/sh
echo "$@" >> {outside}/ray.log
echo "Job 'raysubmit_P1' submitted successfully"
"""


def test_a_profiled_run_becomes_a_ray_job(project: Project) -> None:
    project.program("ray", RAY.format(outside=project.outside))
    (project.root / "scripts/gdn/gdnctl.toml").write_text("[profile]\ncommand = 'python profile.py'\n")
    done = project.gdnctl("ray-profile --cluster here --tpu v5p-8 --size 300m --profile-env A=b --no-wait")
    assert (done.returncode, done.stdout.strip()) == (0, "raysubmit_P1"), done.stderr
    asked = (project.outside / "ray.log").read_text()
    assert "submit --address here" in asked
    assert "GDN_PROFILE_SIZE=300m" in asked
    assert asked.strip().endswith("python profile.py")


WANDB = """#!{python}
import pathlib, shutil, sys
assert sys.argv[1:3] == ["artifact", "get"], sys.argv
run = sys.argv[3].rpartition("/")[2].partition(":")[0]
folder = pathlib.Path(sys.argv[sys.argv.index("--root") + 1])
assert not any(folder.iterdir()), "what an earlier download left is gone"
shutil.copy(f"{outside}/{{run}}.xplane.pb", folder / "host.xplane.pb")
"""


def test_profiles_of_two_runs_are_fetched_apart_and_compared(project: Project) -> None:
    project.program("wandb", WANDB.format(python=sys.executable, outside=project.outside))
    as_xplane(project.outside / "old.xplane.pb", tpu_steps(4))
    as_xplane(project.outside / "new.xplane.pb", tpu_steps(4, kernel_us=20, period_us=100))
    words = "--tpu-name nobody --before-run-target old --after-run-target new"
    for _ in range(2):
        done = project.gdnctl(f"xprof-compare-runs {words}")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["deltas"][0] == {"name": "gdn_fwd.4", "delta_ms": pytest.approx(-0.02)}
    same = project.gdnctl("xprof-compare-runs --tpu-name nobody --before-run-target old --after-run-target old")
    assert same.returncode == 2
    assert "the same trace" in same.stderr
