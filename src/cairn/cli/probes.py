"""What `cairn doctor` looks at: each probe tries the real thing, says what it found, and how to get it."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cairn.errors import CairnError
from cairn.execution.interpreter import find_python
from cairn.git import Git
from cairn.registry import Registry
from cairn.worker import scratch
from cairn.worker_process import probe_isolation

_TIMEOUT_S = 60
_JAX = "import jax, jaxlib, flatbuffers; print(f'jax {jax.__version__}, jaxlib {jaxlib.__version__}')"
_COMPILER = """
import importlib.metadata
from jax.experimental import topologies
chip = topologies.get_topology_desc(platform="tpu", topology_name="v5p:2x2x1").devices[0].device_kind
print(f"libtpu {importlib.metadata.version('libtpu')}, describes a {chip}")
"""
_COMPILER_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_LOG_DIR": "disabled",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
_ISOLATION_FIXES = {
    "namespaces": (
        "allow user namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1 (Debian), "
        "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu); start cairn outside another sandbox"
    ),
    "view": "allow mounts in a user namespace (containers: a seccomp profile that permits mount)",
    "landlock": "Linux 5.13 or later with landlock in the kernel's lsm= list",
    "calls": "a kernel with seccomp filters",
}
CLIENTS = {
    "codex": "npm install -g @openai/codex",
    "claude": "npm install -g @anthropic-ai/claude-code",
    "gemini": "npm install -g @google/gemini-cli",
    "opencode": "npm install -g opencode-ai",
}


@dataclass(frozen=True)
class Finding:
    """One probe's answer. `fix` is empty when it works; `needed_for` says who cares."""

    name: str
    ok: bool
    detail: str
    fix: str
    needed_for: str


def probe_all(registry: Registry) -> Iterator[Finding]:
    """Run every probe; each takes from nothing to a few seconds."""
    yield _python()
    yield from _worker(registry)
    yield _tuner()
    yield from _devices()
    yield from _git(registry)
    yield _sockets()
    yield from (_client(name, fix) for name, fix in CLIENTS.items())
    yield _github()
    yield _ray(registry)
    yield _temporary()
    yield _isolation(registry)
    yield from _project(registry)


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("python", True, f"{version} at {sys.executable}", "", "everything")


def _worker(registry: Registry) -> Iterator[Finding]:
    """The interpreter of the workers, its jax, and the TPU compiler in it."""
    fix = "pip install 'kernel-cairn[tpu]', or set climb.python in registry.json"
    try:
        python = find_python(registry)
    except CairnError as error:
        yield Finding("jax", False, error.message, error.hint or fix, "judge, climb")
        return
    for name, code in (("jax", _JAX), ("libtpu", _COMPILER)):
        ok, detail = _output([str(python), "-c", code], {**_COMPILER_ENVIRONMENT, "JAX_PLATFORMS": "cpu"})
        yield Finding(name, ok, detail, "" if ok else fix, "judge, climb")


def _tuner() -> Finding:
    ok = importlib.util.find_spec("optuna") is not None
    fix = "" if ok else "pip install 'kernel-cairn[tuner]'"
    return Finding("optuna", ok, "found" if ok else "not installed", fix, "climb --agent tuner")


def _devices() -> Iterator[Finding]:
    tpus = [path.name for path in (*Path("/dev").glob("accel*"), *Path("/dev").glob("vfio/[0-9]*"))]
    detail = ", ".join(tpus) if tpus else "none on this machine"
    fix = "" if tpus else "not needed: cost is predicted; a device is only for measured targets"
    yield Finding("tpu", bool(tpus), detail, fix, "targets that end in :device")
    gpus = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    fix = "" if gpus else "not needed: only for gpu:device"
    yield Finding("gpu", bool(gpus), ", ".join(gpus) or "none on this machine", fix, "targets that end in :device")


def _git(registry: Registry) -> Iterator[Finding]:
    try:
        git = Git(registry.root)
    except CairnError as error:
        yield Finding("git", False, error.message, error.hint or "", "climb, learnings commit")
        return
    yield Finding("git", True, f"repository {git.top}", "", "climb, learnings commit")
    try:
        with tempfile.TemporaryFile(dir=git.git_dir):
            pass
        yield Finding("git-writable", True, "branches and worktrees can be made", "", "climb, learnings commit")
    except OSError as error:
        fix = f"allow writing {git.git_dir}; for Codex: --add-dir {git.git_dir}"
        yield Finding("git-writable", False, str(error), fix, "climb, learnings commit")


def _sockets() -> Finding:
    try:
        with socket.socket() as server, socket.socket() as client:
            server.bind(("127.0.0.1", 0))
            server.listen(1)
            client.connect(server.getsockname())
        return Finding("sockets", True, "loopback works", "", "comment post, ray")
    except OSError as error:
        fix = "allow network access; for Codex: -c sandbox_workspace_write.network_access=true"
        return Finding("sockets", False, str(error), fix, "comment post, ray")


def _client(name: str, fix: str) -> Finding:
    needed = f"climb --agent {name}, cairn's skills in {name}"
    if shutil.which(name) is None:
        return Finding(name, False, "not on PATH", fix, needed)
    ok, detail = _output([name, "--version"], {})
    return Finding(name, ok, detail, "" if ok else fix, needed)


def _github() -> Finding:
    """Only whether a token variable is set: its value is nobody's business here."""
    present = [name for name in ("GH_TOKEN", "GITHUB_TOKEN") if os.environ.get(name)]
    detail = f"{present[0]} is set" if present else "no token variable is set"
    fix = "" if present else "export GITHUB_TOKEN=... in the shell that posts comments"
    return Finding("github-token", bool(present), detail, fix, "comment post")


def _ray(registry: Registry) -> Finding:
    try:
        python = find_python(registry)
    except CairnError:
        python = Path(sys.executable)
    code = "import importlib.metadata as m; print('ray', m.version('ray'))"
    ok, detail = _output([str(python), "-c", code], {})
    return Finding(
        "ray", ok, detail if ok else "not installed", "" if ok else "pip install ray", "judging on a cluster"
    )


def _temporary() -> Finding:
    """Whether temporary folders have a place, and how many of killed processes were there; they are gone now."""
    needed = "judge, climb"
    try:
        place, count = scratch.home(), scratch.sweep()
    except OSError as error:
        return Finding("temporary", False, str(error), "set TMPDIR to a folder that can be written", needed)
    swept = f", removed what {count} killed processes had left" if count else ""
    return Finding("temporary", True, f"{place}{swept}", "", needed)


def _isolation(registry: Registry) -> Finding:
    """How far a real worker could lock itself in here, and what a better kernel or container would give."""
    try:
        found = probe_isolation(find_python(registry))
    except CairnError as error:
        return Finding("isolation", False, error.message, error.hint or "", "judge, climb")
    except OSError as error:  # inside a sandbox that is read-only throughout
        return Finding(
            "isolation", False, str(error), "set TMPDIR to a folder that can be written", "judge, climb"
        )
    holds = ", ".join(found.holds) or "nothing beyond limits and a private folder"
    refused = [f"{layer}: {text}" for layer, text in found.layers.items() if text != "on"]
    detail = f"{found.level} ({holds})" + (f"; refused: {'; '.join(refused)}" if refused else "")
    wanted = [fix for layer, fix in _ISOLATION_FIXES.items() if found.layers.get(layer, "on") != "on"]
    return Finding("isolation", found.level != "process", detail, "; ".join(wanted), "judge, climb")


def _project(registry: Registry) -> Iterator[Finding]:
    if registry.path is None:
        fix = "write registry.json; without it defaults hold: kernels/, AGENT.md, .cairn/runs"
        yield Finding("registry", False, "none found", fix, "retro, and non-default paths")
    else:
        problems = "; ".join(registry.warnings)
        fix = "correct the spelling" if problems else ""
        yield Finding("registry", not problems, problems or str(registry.path), fix, "all commands")
    learnings, instructions = registry.root / "AGENT.md", registry.root / "AGENTS.md"
    if instructions.exists() and not learnings.exists() and "## Failure Patterns" in _text(instructions):
        fix = "git mv AGENTS.md AGENT.md"
        yield Finding("agent-md", False, "AGENTS.md holds learnings; they belong in AGENT.md", fix, "learnings")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _output(command: list[str], extra: dict[str, str]) -> tuple[bool, str]:
    """Run a small program; its first line, or the last line of its complaint."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **extra},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    text = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines() or ["no output"]
    return done.returncode == 0, text[0 if done.returncode == 0 else -1][:200]


ESSENTIAL: dict[str, Callable[[set[str]], bool]] = {
    "judge": lambda works: {"jax", "libtpu"} <= works,
    "climb --agent tuner": lambda works: {"jax", "libtpu", "optuna", "git", "git-writable"} <= works,
    "climb with a coding assistant": lambda works: (
        {"jax", "libtpu", "git", "git-writable"} <= works and bool(works & CLIENTS.keys())
    ),
    "learnings": lambda works: True,
    "retro": lambda works: True,
}
