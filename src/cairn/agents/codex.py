"""Codex as an agent: one `codex exec` per edit, in its own sandbox, unattended. Tested against 0.169.0.

What the client does by itself and a loop must not rely on: it retries, waits for a network for ever, leaves the
children of its commands behind, and keeps an old last-message file when a run fails. Hence the limits, the switch
against endless connection retries, the end of the whole process tree, and the deleted file. Which tools a model gets
(a shell, a patch tool, a "code mode") depends on its name and is the client's business.

In the sandbox `workspace-write` a model cannot write `.git`, so it cannot commit; it need not, because the climb
commits what the judge kept. What this does not protect against: the model may write anywhere its sandbox lets it,
the system's temporary directory included. What it says is a claim, and the judge looks at the files.
"""

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cairn.agents.client_run import Invocation, run_client
from cairn.agents.codex_environment import billing_of, build_environment, configured_model, own_provider
from cairn.agents.codex_events import read_report
from cairn.agents.prices import Prices, load_prices
from cairn.agents.protocol import EditOutcome, EditTask

# As `-c`, because an older client passes over settings it does not know, but refuses `--disable UNKNOWN`.
_SETTINGS = (
    "features.unbounded_connection_retries=false",  # or a refused connection is retried for ever
    'shell_environment_policy.inherit="all"',  # it is an allow-list already, and holds the mark of the tree
    "shell_environment_policy.include_only=[]",
    "shell_environment_policy.ignore_default_excludes=false",  # no *KEY*, *SECRET*, *TOKEN* in the model's shell
)
# The client's sandbox makes these folders to mount over them, and leaves them when it is killed with a command.
_MOUNT_POINTS = (".agents", ".aws", ".codex")


@dataclass
class CodexAgent:
    """Drives the Codex client.

    Args:
        binary: program name or path.
        model, reasoning_effort, profile: as in the client; None leaves its configuration alone.
        sandbox: `read-only`, `workspace-write` or `danger-full-access`. Nothing here ever widens it.
        search: let the model search the web; off unless asked for, whatever the client's configuration says.
        ephemeral: the client keeps no session of its own; the transcript is kept here either way.
        extra_config: further `KEY=VALUE` settings; they win over the ones set here.
        environment: variables for the client on top of the allow-list.
    """

    binary: str = "codex"
    model: str | None = None
    reasoning_effort: str | None = None
    profile: str | None = None
    sandbox: str = "workspace-write"
    search: bool = False
    ephemeral: bool = False
    extra_config: Sequence[str] = ()
    environment: Mapping[str, str] | None = None
    prices: Prices = field(default_factory=load_prices)
    name: str = "codex"

    def edit(self, task: EditTask) -> EditOutcome:
        """Let the client edit `task.workdir`; its events, stderr and last message stay in `task.log_dir`."""
        last_message = task.log_dir.resolve() / "codex-last-message.txt"
        last_message.unlink(missing_ok=True)  # the client keeps an old one when a run fails
        environment = build_environment(
            os.environ, self.environment or {}, profile=self.profile, overrides=self.extra_config
        )
        wherefrom = (environment, self.profile, self.extra_config)
        invocation = Invocation(
            name=self.name,
            binary=self.binary,
            arguments=self._arguments(task, last_message),
            environment=environment,
            read=functools.partial(read_report, billing=billing_of(environment)),
            prices=self.prices,
            model=self.model or configured_model(*wherefrom),
            priced=own_provider(*wherefrom),
            mount_points=_MOUNT_POINTS,
        )
        return run_client(task, invocation)

    def _arguments(self, task: EditTask, last_message: Path) -> list[str]:
        search = f'web_search="{"live" if self.search else "disabled"}"'
        settings = [*_SETTINGS, search, *self.extra_config]
        if self.reasoning_effort is not None:
            settings.append(f'model_reasoning_effort="{self.reasoning_effort}"')
        arguments = ["exec", "--json", "-C", str(task.workdir.resolve()), "-s", self.sandbox]
        arguments += [part for setting in settings for part in ("-c", setting)]
        arguments += ["-m", self.model] if self.model is not None else []
        arguments += ["-p", self.profile] if self.profile is not None else []
        arguments += ["--ephemeral"] if self.ephemeral else []
        return [*arguments, "-o", str(last_message), "-"]
