"""`cairn gdnctl`: the command line of an older loop for the GDN problem, as a door to the same engine."""

import click

from cairn.cli.gdnctl.codex_loop import codex_loop
from cairn.cli.gdnctl.device import dev_tpu_allocate, dev_tpu_profile, dev_tpu_test
from cairn.cli.gdnctl.jobs import ray_logs, ray_profile, ray_test, ray_wait
from cairn.cli.gdnctl.lint import lint_log
from cairn.cli.gdnctl.traces import hf_download_trace, summary_attribution, xprof_compare, xprof_compare_runs


@click.group()
def gdnctl() -> None:
    """Climb the GDN problem with the flags of `gdnctl`; hold and use devices, jobs and profiles.

    `scripts/gdn/gdnctl.py` is the door to it. What belongs to a project (allocator, remote commands, tests) stands
    in `scripts/gdn/gdnctl.toml`; docs/gdnctl.md lists every flag and what it means here.
    """


for _command in (
    *(codex_loop, lint_log, dev_tpu_allocate, dev_tpu_test, dev_tpu_profile),
    *(ray_test, ray_profile, ray_wait, ray_logs),
    *(hf_download_trace, xprof_compare, xprof_compare_runs, summary_attribution),
):
    gdnctl.add_command(_command)
