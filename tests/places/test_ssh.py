"""The backend `ssh` through a real sshd on the loopback interface."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cairn.cli.main import main
from cairn.climb.ledger import Event, Ledger
from cairn.errors import Missing, Unreachable, UsageError
from cairn.execution.hosts import Wanted
from cairn.execution.places import Place, open_places
from cairn.worker_process import WorkerProcess
from places.fleets import fleet_bench
from places.loopback_ssh import SSHD, running_sshd
from workspace import Workspace, quickly_timed

PYTHON = Path(sys.executable)
LOOPBACK = Wanted("ssh", ["loopback"], sys.executable)
pytestmark = [pytest.mark.skipif(SSHD is None, reason="no sshd: apt-get install openssh-server")]


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server; gives its pid."""
    with running_sshd(tmp_path / "ssh") as (command, server):
        monkeypatch.setenv("CAIRN_SSH_COMMAND", command)
        yield server.pid


def sleeping() -> str:
    return "import dataclasses\n\n\n@dataclasses.dataclass(frozen=True)\nclass Config:\n    pass\n\n\n"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_same_verdict_here_and_there(
    workspace: Workspace, sshd: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Receipts differ in where and when they were made, and in what was measured."""
    assert sshd
    quickly_timed(workspace.problem)
    (workspace.problem / "variants" / "twice.py").write_text(
        sleeping()
        + "def run(x, y, *, config):\n    for _ in range(40):\n        y = (y * 3.0 + x) / 3.0 - x / 3.0\n"
        "    return 2.0 * x + y\n"
    )
    there = ("--backend", "ssh", "--address", "loopback", "--far-python", sys.executable)
    receipts = []
    for where in ((), there):
        arguments = [
            "judge",
            "run",
            str(workspace.problem),
            "--variant",
            "twice",
            "--target",
            "cpu:device",
            "--json",
        ]
        with pytest.raises(SystemExit) as stop:
            main([*arguments, *where])
        assert stop.value.code == 1
        receipts.append(json.loads(capsys.readouterr().out))
    here, far = receipts
    assert (here["verdict"], here["reason"]) == (far["verdict"], far["reason"]) == ("DISCARD", "slower")
    assert here.keys() == far.keys()
    same = ("problem", "variant", "incumbent", "target", "isolation", "frozen")
    assert {key: here.get(key) for key in same} == {key: far.get(key) for key in same}


def test_a_lost_host_is_nobodys_fault_and_comes_back(sshd: int) -> None:
    with open_places(LOOPBACK, PYTHON) as places:
        (place,) = places
        assert place.name == "ssh:loopback"
        with WorkerProcess(place.python, "timer") as worker:
            worker.ask({"op": "device"}, timeout_s=60)
            for session in psutil.Process(sshd).children(recursive=True):
                if session.name().startswith("sshd"):
                    session.kill()
            with pytest.raises(Unreachable, match="ssh:loopback was lost"):
                worker.ask({"op": "device"}, timeout_s=60)
        with WorkerProcess(place.python, "timer") as worker:  # a new connection, without the standing one
            assert worker.ask({"op": "device"}, timeout_s=60)[0]["platform"] == "cpu"
    deadline = time.monotonic() + 30
    while psutil.Process(sshd).children() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not psutil.Process(sshd).children()


def test_what_is_wrong_with_a_host_is_said(sshd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(wanted: Wanted) -> list[Place]:
        with open_places(wanted, PYTHON) as places:
            return places

    with pytest.raises(Missing, match="lacks no-such-python with jax") as missing:
        opened(Wanted("ssh", ["loopback"], "no-such-python"))
    assert "--far-python" in str(missing.value.hint)
    with pytest.raises(UsageError, match="needs a host"):
        opened(Wanted("ssh"))
    with pytest.raises(UsageError, match="is no host"):
        opened(Wanted("ssh", ["-oProxyCommand=touch /tmp/never"]))
    psutil.Process(sshd).terminate()
    psutil.Process(sshd).wait(timeout=10)
    with pytest.raises(Unreachable, match="does not answer"):
        opened(LOOPBACK)
    monkeypatch.setenv("CAIRN_SSH_COMMAND", "no-such-ssh")
    with pytest.raises(Missing, match="no `no-such-ssh`"):
        opened(LOOPBACK)


def test_a_round_on_two_hosts_one_of_which_is_cut_off(
    workspace: Workspace, sshd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All connections end in the middle of a judgement; the hosts are reached again, and nothing is lost."""
    monkeypatch.setattr("cairn.climb.crew.pause_s", lambda times: 0.1)
    hosts = Wanted("ssh", ["loopback", "other"], sys.executable)
    cut: list[str] = []

    def on_event(event: Event) -> None:
        if event["event"] == "attempt.judging" and event["place"] == "ssh:other" and not cut:
            cut.append(event["attempt"])
            threading.Timer(0.3, lambda: [each.kill() for each in psutil.Process(sshd).children()]).start()

    with open_places(hosts, PYTHON) as places:
        bench = fleet_bench(workspace, places, 4, 1.0)
        assert bench.run(4, on_event).ended == "attempts_done"
    events = Ledger(bench.folder / "ledger.jsonl").events
    assert cut
    assert any(event["event"] == "attempt.blocked" for event in events)
    assert {event["place"] for event in events if event["event"] == "attempt.judged"} <= {
        "ssh:loopback",
        "ssh:other",
    }
    judged = [each for each in bench.judged() if each.startswith("a")]
    assert sorted(judged) == ["a0001", "a0002", "a0003", "a0004"]


def test_hosts_that_do_not_answer_are_left_for_later(sshd: int) -> None:
    assert sshd
    with open_places(Wanted("ssh", ["nowhere.invalid", "loopback"], sys.executable), PYTHON) as places:
        gone, here = places
        here.renew()
        with WorkerProcess(here.python, "timer") as worker:
            assert worker.ask({"op": "device"}, timeout_s=60)[0]["platform"] == "cpu"
        with pytest.raises(Unreachable, match=r"nowhere\.invalid does not answer"):
            gone.renew()


@pytest.mark.parametrize(
    ("target", "options", "said"),
    [
        ("tpu-v5p", ["--backend", "ssh", "--address", "nowhere"], "tpu-v5p:device"),
        ("cpu:device", ["--slots", "2"], "disturb each other"),
        ("cpu:device", ["--backend", "ssh", "--address", "a", "--slots", "2"], "one at a time"),
        ("cpu:device", ["--backend", "ssh", "--address", "a", "--address", "a"], "too many"),
        ("cpu:device", ["--backend", "ray", "--address", "a", "--address", "b"], "too many"),
        ("cpu:device", ["--backend", "ray", "--resource", "TPU"], "NAME=COUNT"),
    ],
)
def test_what_a_backend_is_not_for(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], target: str, options: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["climb", str(workspace.problem), "--target", target, *options])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
