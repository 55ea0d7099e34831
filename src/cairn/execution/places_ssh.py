"""Hosts over ssh: nothing is installed there but the worker folder, below `~/.cache/cairn/bundles`.

One connection is opened for each host and every worker goes through it, so starting one takes no new login. The
user's own configuration applies (`~/.ssh/config`, agent); `CAIRN_SSH_COMMAND` replaces `ssh`, as git's variable does.
"""

import contextlib
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cairn.errors import Missing, Unreachable, UsageError
from cairn.execution.hosts import Bundle, Host, Opened, Wanted, bundle

_CONNECT_S, _ASK_S = 20.0, 60.0
_OPTIONS = (
    *("-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "LogLevel=ERROR"),
    *("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"),  # a host that is gone is noticed in 15 s
)
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK")
_PROBE = "import sys, jax; print(sys.version_info >= (3, 11), sys.platform)"


class SshBackend:
    """Opens one host for each address; an address is whatever `ssh` takes."""

    @contextlib.contextmanager
    def open(self, wanted: Wanted, folder: Path) -> Iterator[Opened]:
        """Connect to all hosts and put the worker folder there."""
        if not wanted.addresses:
            raise UsageError("--backend ssh needs a host", hint="--address HOST")
        packed = bundle()
        with contextlib.ExitStack() as stack:
            hosts: list[tuple[Host, dict[str, Any] | None]] = []
            for at, address in enumerate(wanted.addresses):
                host = _SshHost(address, folder / f"c{at}", packed, wanted.far_python or "python3")
                stack.callback(host.close)
                try:
                    hosts.append((host, host.facts()))
                except Unreachable as error:
                    trouble = error
                    hosts.append((host, None))
            if not any(facts for _, facts in hosts):
                raise trouble
            yield hosts


class _SshHost:
    """One host and its standing connection; a `Host`."""

    def __init__(self, address: str, control: Path, packed: Bundle, python: str) -> None:
        if address.startswith("-"):
            raise UsageError(f"`{address}` is no host")
        self.name = f"ssh:{address}"
        self._packed = packed
        self._python = python
        self._facts: dict[str, Any] = {}
        self._address = address
        self._control = control
        self._environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._program = shlex.split(os.environ.get("CAIRN_SSH_COMMAND", "ssh"))
        self._master: subprocess.Popen[bytes] | None = None

    def _ssh(self, *words: str) -> list[str]:
        return [*self._program, *_OPTIONS, "-S", str(self._control), *words]

    def facts(self) -> dict[str, Any]:
        """The command that reaches it; a standing connection that was lost is opened again first."""
        if self._master is None or self._master.poll() is not None:
            self.close()
            self._control.unlink(missing_ok=True)
            self._connect()
            self._facts = self._prepared(self._packed, self._python)
        return self._facts

    def _connect(self) -> None:
        """Open the standing connection.

        Raises:
            Missing: no ssh here. Unreachable: no answer, or no login.
        """
        if shutil.which(self._program[0]) is None:
            raise Missing(f"there is no `{self._program[0]}`", hint="on Debian: apt-get install openssh-client")
        self._master = subprocess.Popen(
            self._ssh("-M", "-N", "--", self._address),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=self._environment,
            start_new_session=True,
        )
        deadline = time.monotonic() + _CONNECT_S
        while not self._control.exists():
            if self._master.poll() is not None or time.monotonic() > deadline:
                said = self._said()
                hint = (
                    f"does this work? {shlex.join([*self._program, '-o', 'BatchMode=yes', self._address, 'true'])}"
                )
                raise Unreachable(f"{self._address} does not answer: {said or 'no word'}", hint=hint)
            time.sleep(0.05)

    def _said(self) -> str:
        assert self._master is not None
        assert self._master.stderr is not None
        self._master.terminate()
        _, said = self._master.communicate()
        self._master = None
        return said.decode("utf-8", "replace").strip()[-400:]

    def _prepared(self, packed: Bundle, python: str) -> dict[str, Any]:
        """Put the worker folder there if it is not, and look whether the interpreter has jax."""
        place = f".cache/cairn/bundles/{packed.digest}"
        # into a folder of its own first, then into place in one step: another climb may do the same now
        install = (
            f"cd && if [ ! -d {place} ]; then mkdir -p {place}.$$ && tar xzf - -C {place}.$$"
            f" && {{ mv -T {place}.$$ {place} 2>/dev/null || rm -rf {place}.$$; }}; fi && cd {place} && pwd"
        )
        answer = self._asked(install, packed.archive)
        where = answer.strip().splitlines()[-1] if answer.strip() else ""
        if not where.startswith("/"):
            raise Missing(f"{self._address}: the worker folder could not be put there: {answer[:200]!r}")
        self._asked(shlex.join([python, "-c", _PROBE]), b"", needs=f"{python} with jax")
        far = shlex.join([python, "-E", "-s", "-B", f"{where}/far.py", "stdio"])
        command = self._ssh("-T", "--", self._address, f"exec {far}")
        return {"name": self.name, "command": command, "environment": self._environment}

    def _asked(self, line: str, data: bytes, needs: str = "a POSIX shell, tar and room below ~/.cache") -> str:
        try:
            done = subprocess.run(
                self._ssh("-T", "--", self._address, line),
                input=data,
                capture_output=True,
                timeout=_ASK_S,
                env=self._environment,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unreachable(f"{self._address} gave no answer within {_ASK_S:.0f} s") from error
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()[-400:]
            raise Missing(f"{self._address} lacks {needs}: {said}", hint="--far-python names an interpreter there")
        return done.stdout.decode("utf-8", "replace")

    def close(self) -> None:
        """End the standing connection and all that went through it."""
        if self._master is None:
            return
        if self._master.poll() is None:
            self._master.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._master.communicate(timeout=5)
        if self._master.poll() is None:
            self._master.kill()
            self._master.communicate()
        self._master = None
