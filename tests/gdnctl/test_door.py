"""The door: every flag and subcommand of the older loop is there; policies, devices and jobs work as they say."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from cairn.cli.gdnctl import gdnctl
from cairn.cli.gdnctl.loop_options import GROUPS, plan_loop, wrong_device_checks
from cairn.errors import UsageError
from gdnctl.project import Project, make_project

SUBCOMMANDS = """ray-test dev-tpu-allocate dev-tpu-test dev-tpu-profile ray-profile ray-wait ray-logs hf-download-trace
xprof-compare xprof-compare-runs summary-attribution codex-loop lint-log"""
# the general flags with the defaults that command lines of the older loop rely on; `-` was not given
DEFAULTS = """
iterations - workdir - sleep_seconds 5.0 log_dir .agents/logs/gdn_codex_loop hillclimb_log_file - model gpt-5.4
codex_bin - reasoning_effort xhigh codex_profile - codex_ephemeral True search False show_file_updates False
codex_retries 0 codex_timeout_seconds 7200.0 codex_idle_timeout_seconds 900.0 retry_sleep_seconds 20.0
directive - directive_file - directive_preset - allow_dirty False dirty_policy fail stash_restore_policy warn-keep
allow_no_commit False no_commit_policy fail sync_main_policy off sync_main_remote origin sync_main_branch main
sync_main_conflict_policy fail max_failures 0 resilient False iteration_error_policy fail post_check -
post_check_policy fail post_check_retries 0 hold_dev_tpu False hold_dev_tpu_policy required
dev_tpu_cluster us-central1 dev_tpu_fallback_cluster - dev_tpu_name - dev_tpu_type - dev_tpu_sync_path .
dev_tpu_allocate_attempts 1 dev_tpu_allocate_retry_sleep 30.0 dev_tpu_ready_timeout 900.0
dev_tpu_stop_timeout 120.0 dev_tpu_allocate_log - dev_tpu_verbose False validation_mode required
validation_policy fail validation_max_attempts -1 validation_retry_sleep 120.0 validation_tests both
validation_pytest_args - validation_ray_test_timeout 1800.0 validation_ray_profile_timeout 3600.0
validation_ray_log_tail 400 validation_ray_cluster - validation_ray_cluster_auto False
validation_ray_cluster_exclude - validation_cross_tpu_test_fallback False validation_ray_tpu auto
validation_dev_no_sync False perf_mode required perf_state_file - perf_metric throughput/mfu
perf_aggregation history-window perf_history_aggregation median perf_history_step_start 10
perf_history_step_end 18 perf_history_min_points 5 perf_min_improvement_pct 0.25 perf_max_regression_pct 1.0
perf_regression_policy revert-count-failure perf_wandb_entity marin-community perf_wandb_project marin
perf_upper_bound_step_ms -"""


def test_every_subcommand_and_flag_is_there() -> None:
    assert set(gdnctl.commands) == set(SUBCOMMANDS.split())
    wanted = dict(zip(*[iter(DEFAULTS.split())] * 2, strict=True))
    flags = {flag.parameter: flag for group in GROUPS.values() for flag in group}
    assert set(wanted) <= set(flags)
    found = {name: "-" if flags[name].default is None else str(flags[name].default) for name in wanted}
    assert found == wanted
    assert len(flags) >= 112


@pytest.mark.parametrize("name", SUBCOMMANDS.split())
def test_every_subcommand_teaches(name: str) -> None:
    done = CliRunner().invoke(gdnctl, [name, "--help"])
    assert done.exit_code == 0
    assert "Example" in done.output


def values(**given: object) -> dict[str, object]:
    plain = {flag.parameter: (() if flag.many else flag.default) for group in GROUPS.values() for flag in group}
    return {**plain, "iterations": 3, **given}


def test_resilient_softens_defaults_and_explicit_values_win() -> None:
    given = values(resilient=True, dirty_policy="fail", validation_mode="off")
    plan = plan_loop(given, {"resilient", "dirty_policy", "validation_mode"})
    assert plan.values["dirty_policy"] == "fail"
    assert plan.values["max_failures"] == -1
    assert plan.values["hold_dev_tpu_policy"] == "best-effort"
    assert plan.values["sync_main_conflict_policy"] == "skip"
    assert [note.split(":")[0] for note in plan.notes] == [
        "--dirty-policy fail was given and stays, --resilient or not",
        "--validation-mode has no effect here",
    ]
    assert plan_loop(values(), {"iterations"}).notes == []


def test_contradictions_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="needs --iterations"):
        plan_loop(values(iterations=None), ())
    with pytest.raises(UsageError, match="needs --dev-tpu-name"):
        plan_loop(values(hold_dev_tpu=True), ())
    soft = plan_loop(values(hold_dev_tpu=True, resilient=True), ())
    assert soft.values["hold_dev_tpu"] is False


def test_post_checks_on_another_device_are_found() -> None:
    checks = ["gdnctl dev-tpu-test --cluster b --tpu-name me", "x --tpu-name=you", "gdnctl lint-log", "echo 'open"]
    found = wrong_device_checks(checks, "me", "a")
    assert len(found) == 2
    assert "--cluster b, but a is held" in found[0]
    assert wrong_device_checks(checks[:1], "me", "b") == []


RAY = """\
#!/bin/sh
echo "$@" >> {outside}/ray.log
case "$2" in
  submit) echo "Job 'raysubmit_Abc123' submitted successfully" ;;
  status)
    if [ -e {outside}/over ]; then echo "Job 'raysubmit_Abc123' FAILED"; else echo "Status: RUNNING"; fi
    touch {outside}/over ;;
  logs) for n in 1 2 3; do echo "line $n"; done; echo "an error" ;;
esac
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path)


def test_ray_jobs(project: Project) -> None:
    missing = project.gdnctl("ray-logs raysubmit_Abc123")
    project.program("ray", RAY.format(outside=project.outside))
    submitted = project.gdnctl("ray-test --cluster here --tests kernels --no-wait --tpu v5p-8")
    waited = project.gdnctl("ray-wait raysubmit_Abc123 --cluster here --poll 0.1 --show-logs --tail 2")
    lines = project.gdnctl("ray-logs raysubmit_Abc123 --grep error")
    assert missing.returncode == 69 or "ray" in missing.stderr
    assert (submitted.returncode, submitted.stdout.strip()) == (0, "raysubmit_Abc123")
    assert (waited.returncode, waited.stdout) == (1, "line 3\nan error\n")
    assert lines.stdout == "an error\n"
    asked = (project.outside / "ray.log").read_text()
    assert "submit --address here" in asked
    assert "EQX_ON_ERROR=nan WANDB_MODE=offline" in asked
    assert re.search(r'--entrypoint-resources \{"TPU-v5p-8-head": 1\}', asked)


def test_a_device_is_tested_and_profiled_through_the_projects_commands(project: Project) -> None:
    done = project.gdnctl("dev-tpu-test --cluster us-east5-a --tpu-name me-gdn --tests kernels --pytest-args=-x")
    assert done.returncode == 0, done.stderr
    assert "--tpu-name me-gdn execute -- /bin/bash -lc python -m pytest" in project.said()[-1]
    assert project.said()[-1].endswith("-x")
    without = project.gdnctl("dev-tpu-profile --tpu-name me-gdn")
    assert without.returncode == 69
    assert "names no profiled run" in without.stderr
    (project.root / "scripts/gdn/gdnctl.toml").write_text("[profile]\ncommand = 'python profile.py'\n")
    shown = project.gdnctl("dev-tpu-profile --tpu-name me-gdn --size 300m --profile-env A=b --dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "GDN_PROFILE_SIZE=300m" in shown.stdout
    assert shown.stdout.strip().endswith("python profile.py")


@pytest.mark.parametrize(
    ("printed", "code", "why"),
    [
        ("88 passed, 2 skipped in 240.10s (0:04:00)", 0, ""),
        ("49 passed, 40 skipped in 12.00s", 1, "49 tests passed, at least 80"),
        ("88 passed, 40 skipped in 12.00s", 1, "40 tests were skipped, at most 2"),
        ("", 1, "no last line of pytest"),
    ],
)
def test_skipped_tests_are_no_proof(project: Project, printed: str, code: int, why: str) -> None:
    (project.root / "scripts/gdn/gdnctl.toml").write_text("[tests]\nleast_passed = 80\nmost_skipped = 2\n")
    project.program("dev_tpu.py", f"#!/bin/sh\necho '==== {printed} ===='\n")
    done = project.gdnctl("dev-tpu-test --cluster us-east5-a --tpu-name me-gdn --tests kernels")
    assert done.returncode == code, done.stderr
    assert printed in done.stdout
    assert why in done.stderr


def test_lint_log_has_its_exit_codes(project: Project) -> None:
    log = project.root / "log.md"
    assert project.gdnctl("lint-log").returncode == 0
    assert project.gdnctl("lint-log --log-file log.md").returncode == 2
    log.write_text("### Iteration 1 - x\n\n- Commit: (pending)\n")
    assert project.gdnctl("lint-log --log-file log.md").returncode == 1
    assert project.gdnctl("lint-log --log-file log.md --allow-pending").returncode == 0


def test_a_dry_run_starts_nothing(project: Project) -> None:
    done = project.gdnctl("codex-loop --iterations 2 --perf-mode off --dry-run --json")
    assert done.returncode == 0, done.stderr
    assert '"attempts": 2' in done.stdout
    assert "--perf-mode has no effect here" in done.stderr
    assert not (project.root / ".agents").exists()
