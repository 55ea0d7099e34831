"""From the flags of `codex-loop` to the options of a climb: explicit values win, and what has no effect is said."""

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cairn.cli.gdnctl import flags, project_flags
from cairn.cli.gdnctl.flags import Flag
from cairn.errors import UsageError

GROUPS: Mapping[str, tuple[Flag, ...]] = {
    "core": flags.CORE,
    "agent": flags.AGENT,
    "steering": flags.STEERING,
    "git": flags.GIT,
    "failure budget": flags.FAILURES,
    "held device": flags.HELD,
    "validation gate": flags.VALIDATION,
    "scoring": flags.SCORING,
    "validation profile": project_flags.VALIDATION_PROFILE,
    "structural gates": project_flags.GATES,
}
# what --resilient makes of a default; a value that was given stays
_SOFTER: Mapping[str, Any] = {
    "max_failures": -1,
    "dirty_policy": "stash",
    "no_commit_policy": "count-failure",
    "post_check_policy": "count-failure",
    "hold_dev_tpu_policy": "best-effort",
    "sync_main_conflict_policy": "skip",
    "post_check_retries": 2,
}
_CHIPS = {
    "v4": "tpu-v4",
    "v5e": "tpu-v5e",
    "v5litepod": "tpu-v5e",
    "v5p": "tpu-v5p",
    "v6e": "tpu-v6e",
    "tpu7x": "tpu7x",
}


@dataclass
class Plan:
    """What a command line comes to."""

    values: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    @property
    def options(self) -> dict[str, Any]:
        """Options of a climb, by the names of `cairn climb run`."""
        values = self.values
        path = {name: None if values[name] is None else Path(values[name]) for name in ("prompt_file",)}
        return {
            "variant": values["variant"],
            "target_name": values["target"] or _chip_of(values["dev_tpu_type"]),
            "agent_name": "codex",
            "model": values["model"],
            "reasoning_effort": values["reasoning_effort"],
            "agent_profile": values["codex_profile"],
            "agent_binary": values["codex_bin"],
            "search": values["search"],
            "agent_ephemeral": values["codex_ephemeral"],
            "agent_wall": values["codex_timeout_seconds"],
            "agent_idle": values["codex_idle_timeout_seconds"],
            "directives": values["directive"],
            "directive_files": tuple(Path(file) for file in values["directive_file"]),
            "directive_presets": values["directive_preset"],
            "prompt_file": path["prompt_file"],
            "max_failures": values["max_failures"],
            "dirty_policy": "allow" if values["allow_dirty"] else values["dirty_policy"],
            "no_commit_policy": "continue" if values["allow_no_commit"] else values["no_commit_policy"],
            "post_checks": values["post_check"],
            "post_check_policy": values["post_check_policy"],
            "post_check_retries": values["post_check_retries"],
            "sync_main_policy": values["sync_main_policy"],
            "sync_main_remote": values["sync_main_remote"],
            "sync_main_branch": values["sync_main_branch"],
            "sync_main_conflict_policy": values["sync_main_conflict_policy"],
            "resilient": values["resilient"],
            "pause_s": values["sleep_seconds"],
        }


def plan_loop(values: Mapping[str, Any], given: Collection[str]) -> Plan:
    """Apply --resilient and gather what is to be said.

    Args:
        values: every flag's value by its parameter's name.
        given: the names of those that stood on the command line.

    Raises:
        UsageError: flags that contradict each other.
    """
    plan = Plan(dict(values))
    if values["resilient"]:
        for name, softer in _SOFTER.items():
            if name in given:
                plan.notes.append(
                    f"--{name.replace('_', '-')} {values[name]} was given and stays, --resilient or not"
                )
            else:
                plan.values[name] = softer
    for flag in (flag for group in GROUPS.values() for flag in group):
        if flag.idle and flag.parameter in given:
            plan.notes.append(f"{flag.name.partition('/')[0]} has no effect here: {flag.meaning}")
    if values["iterations"] is None or values["iterations"] < 1:
        raise UsageError("codex-loop needs --iterations", hint="--iterations 10")
    _check_held(plan)
    return plan


def _check_held(plan: Plan) -> None:
    values = plan.values
    if not values["hold_dev_tpu"]:
        return
    if not values["dev_tpu_name"]:
        if not values["resilient"]:
            raise UsageError("--hold-dev-tpu needs --dev-tpu-name", hint='--dev-tpu-name "$USER-gdn"')
        plan.notes.append("--hold-dev-tpu without --dev-tpu-name: no device is held")
        values["hold_dev_tpu"] = False


def wrong_device_checks(checks: Collection[str], name: str, place: str) -> list[str]:
    """Post-checks that name another device than the one that is held, each as a sentence."""
    found = []
    for check in checks:
        for option, held in (("--cluster", place), ("--tpu-name", name)):
            stated = _option(check, option)
            if stated is not None and held and stated != held:
                found.append(f"a post-check has {option} {stated}, but {held} is held: {check}")
    return found


def _option(command: str, option: str) -> str | None:
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    for at, word in enumerate(words):
        if word == option and at + 1 < len(words):
            return words[at + 1]
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def _chip_of(tpu_type: str | None) -> str | None:
    """`v5p-8` is a slice of tpu-v5p; a type of another family leaves the choice to the problem."""
    return None if tpu_type is None else _CHIPS.get(tpu_type.lower().partition("-")[0])
