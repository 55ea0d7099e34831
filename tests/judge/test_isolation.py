"""What a variant can reach, tried for real at every level that this kernel gives.

A level can be lowered but not raised: where the kernel refuses a layer, the tests of it are skipped and say so.
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cairn.judge.protocol import Oracle
from cairn.judge.referee import Judge
from cairn.problem import load_problem
from cairn.roofline import parse_target
from cairn.worker_process import LEVELS, WORKER_FOLDER, Isolation, WorkerFailure, WorkerProcess, probe_isolation
from workspace import TOY, Workspace

PYTHON = Path(sys.executable)
ESCAPES = Path(__file__).with_name("escape_attempts.py")
SCANNER = Path(__file__).with_name("memory_scanner.py")
GOOD = (TOY / "variants" / "pallas_axpy.py").read_bytes()
TPU_VARIABLES = ("LIBRARY_PATH", "ML_PLATFORM", "SKIP_MDS_QUERY")  # jax sets them when libtpu is installed
# what makes an attempt of a kind fail; either of several is enough
NEEDED = {"memory": {"processes", "files"}, "signals": {"signals", "processes"}, "calls": {"calls"}}


@dataclass(frozen=True)
class Escape:
    """What one locked-in variant tried, and what became of it."""

    isolation: Isolation
    results: dict[str, str]
    own: dict[str, Any]


@pytest.fixture(scope="module", params=LEVELS)
def escape(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Escape]:
    """Run all attempts once at a level, with everything in place that they go for."""
    folder = tmp_path_factory.mktemp("project")
    canary = folder / "canary"
    canary.write_text("sings")
    home = tmp_path_factory.mktemp("somebody")
    (home / ".netrc").write_text("password")
    (folder / "receipts.jsonl").write_text("{}\n")
    name = secrets.token_hex(8)
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        path = str(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "s")
        for address in (path, "\0" + name):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen(1)
        sibling = stack.enter_context(subprocess.Popen(["sleep", "600"]))
        stack.callback(sibling.kill)
        oracle = Oracle(load_problem(TOY), PYTHON)
        stack.callback(oracle.close)
        oracle_folder = oracle._worker.folder
        facts = {
            "project": str(folder),
            "reference": str(TOY),
            "canary": str(canary),
            "readable": [
                *(str(TOY / "problem.yaml"), str(TOY / "reference.py"), str(oracle_folder / "worker.log")),
                *(
                    str(folder / "receipts.jsonl"),
                    str(home / ".netrc"),
                    "/etc/passwd",
                    f"/proc/{os.getpid()}/environ",
                ),
            ],
            "writable": [
                *(str(folder / "new"), str(home / "new"), str(oracle_folder / "worker.log")),
                *(str(Path(tempfile.gettempdir()) / f"cairn-{name}"), f"/var/tmp/cairn-{name}"),
            ],
            "port": server.getsockname()[1],
            "unix": path,
            "abstract": name,
            "sibling": sibling.pid,
            "judge": os.getpid(),
            "judge_group": os.getpgid(0),
            "pid_namespace": str(Path("/proc/self/ns/pid").readlink()),
        }
        worker = stack.enter_context(WorkerProcess(PYTHON, "candidate", isolation=request.param))
        isolation = worker.isolation
        facts["may_kill_all"] = "processes" in isolation.holds
        if "files" in isolation.holds:  # only where it must fail: these files are in use
            facts["writable"] += [str(TOY / "reference.py"), np.__file__, str(WORKER_FOLDER / "candidate.py")]
        header = {"op": "load", "name": "escape", "config": {"facts": facts}}
        with pytest.raises(WorkerFailure, match="TOLD") as failure:
            worker.ask(header, [ESCAPES.read_bytes()], timeout_s=60)
        told = json.loads(failure.value.error["message"].partition("TOLD")[2])
        if "signals" in isolation.holds:
            assert sibling.poll() is None, "the sibling was ended"
        if "files" in isolation.holds:
            assert canary.read_text() == "sings"
        assert worker.ask({"op": "load", "name": "v", "config": {}}, [GOOD], timeout_s=60)
        yield Escape(isolation, told["results"], told["own"])
    for left in (Path("/dev/shm/cairn-escape"), *map(Path, facts["writable"])):
        if name in left.name or left.name == "cairn-escape":
            left.unlink(missing_ok=True)


def lacking(isolation: Isolation) -> str:
    refused = {layer: text for layer, text in isolation.layers.items() if text != "on"}
    return f"at level {isolation.level} this does not hold {refused or ''}"


@pytest.mark.parametrize("kind", ["files", "network", "signals", "processes", "memory", "calls", "privileges"])
def test_attempts_of_a_kind_are_refused(escape: Escape, kind: str) -> None:
    if not NEEDED.get(kind, {kind}) & set(escape.isolation.holds):
        pytest.skip(f"{kind}: {lacking(escape.isolation)}")
    tried = {name: result for name, result in escape.results.items() if name.startswith(kind + ":")}
    assert tried
    assert not {name: result for name, result in tried.items() if not result.startswith("refused")}


def test_the_attempts_themselves_work(escape: Escape) -> None:
    """An attempt that cannot succeed anywhere would prove nothing: where nothing holds, they do succeed."""
    if escape.isolation.level != "process":
        pytest.skip("only where nothing is in the way")
    for name in (
        "files: list the root of the project",
        "files: remove a file of the project",
        "processes: see others",
    ):
        assert escape.results[name].startswith("done"), escape.results[name]
    assert escape.results["signals: end a sibling"].startswith("done")


def test_killing_everybody_kills_nobody_else(escape: Escape) -> None:
    """The fixture has asked the same worker once more after this attempt, and the judge is here to see it."""
    result = escape.results["kill everything inside"]
    if "processes" not in escape.isolation.holds:
        assert result.startswith("refused"), "tried outside of a namespace"
        pytest.skip(f"processes: {lacking(escape.isolation)}")
    assert result == "done: 'only its own child, by 9'"


def test_what_is_inherited_is_bare(escape: Escape) -> None:
    assert set(escape.own["environment"]) <= {
        *("PATH", "HOME", "TMPDIR", "LANG", "LC_CTYPE", "JAX_PLATFORMS", "PYTHONDONTWRITEBYTECODE"),
        *("CAIRN_PROCESS_TREE", "TF_CPP_MIN_LOG_LEVEL", "NPROC", *(f"TPU_{n}" for n in TPU_VARIABLES)),
    }
    # with one thread, on one core, a kernel's callback in the interpreter waits for itself
    assert int(escape.own["environment"]["NPROC"]) > 1
    assert all(text.startswith(("pipe:", "/dev/urandom", "/proc/")) for text in escape.own["descriptors"])
    assert sum(text.startswith("pipe:") for text in escape.own["descriptors"]) == 2
    installed = tuple(str(Path(prefix).resolve()) for prefix in (sys.prefix, sys.base_prefix))
    known = ("/usr", sys.prefix, *installed, str(WORKER_FOLDER))
    assert all(path.startswith(known) for path in escape.own["path"]), escape.own["path"]
    harmless = {"template", "candidate", "-E", "-s", "-B", str(PYTHON), str(WORKER_FOLDER)}
    assert set(escape.own["arguments"]) - harmless <= {str(number) for number in range(256)}
    assert not {"cairn", "reference", "conftest", "oracle", "psutil"} & set(escape.own["modules"])


def test_memory_holds_no_truth_seed_shape_or_path(tmp_path: Path) -> None:
    """The variant looks through all of its own memory, after a judgement's call, for what the judge knows."""
    problem = load_problem(TOY)
    oracle = Oracle(problem, PYTHON)
    seed = 10**9 + secrets.randbelow(10**9)
    draw = oracle.draw(seed, problem.shapes.check[0], problem.families[0])
    oracle.close()
    secrets_ = {
        **{
            text: text.encode() for text in (str(seed), str(tmp_path / "receipts.jsonl"), str(TOY), "problem.yaml")
        },
        **{text: text.encode() for text in ("allowed_rms", "make_inputs", "wrong_output", '"rows"')},
        "the truth in float64": draw.truth[0].ravel()[:8].tobytes(),
        "the seed as a number": seed.to_bytes(8, "little"),
    }
    with WorkerProcess(PYTHON, "candidate") as worker:
        header = {"op": "load", "name": "scanner", "config": {}}
        worker.ask(header, [SCANNER.read_bytes()], timeout_s=60)
        call = {"op": "call", "interpreter": "hlo"}
        worker.ask({**call, "inputs": draw.specs}, draw.blobs, timeout_s=60)
        needles = [str(worker.folder).encode(), *secrets_.values()]
        rows = b"".join(bytes([len(needle)]) + bytes(b ^ 0x5A for b in needle).ljust(255) for needle in needles)
        specs = [{"shape": [len(needles), 256], "dtype": "uint8"}] * 2
        _, (found,) = worker.ask({**call, "inputs": specs}, [rows, rows], timeout_s=60)
    assert found[0], "the search does not find what is there"
    assert not [name for name, hit in zip(secrets_, found[1:], strict=True) if hit]


@pytest.mark.tpu_compiler
def test_doctor_and_fingerprint_name_the_level(workspace: Workspace) -> None:
    best = probe_isolation(PYTHON)
    command = [PYTHON, "-c", "from cairn.cli.main import main; main()", "doctor", "--json"]
    done = subprocess.run(command, cwd=workspace.root, capture_output=True, text=True, check=True)
    (finding,) = [entry for entry in json.loads(done.stdout)["findings"] if entry["name"] == "isolation"]
    assert finding["detail"].startswith(f"{best.level} (")
    assert finding["ok"] == (best.level != "process")
    assert bool(finding["fix"]) == any(text != "on" for text in best.layers.values())
    with Judge(load_problem(TOY), parse_target("tpu-v5p"), python=PYTHON) as judge:
        assert judge.fingerprint()["isolation"] == best.level
