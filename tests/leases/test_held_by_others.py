"""The allocators of docs/howto/hold-a-device.md: the page's own manifest and commands, against played programs."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import yaml

from cairn.cli.gdnctl.config import Config
from cairn.cli.gdnctl.holding import Device, open_allocator
from cairn.errors import TryAgain
from cairn.execution.leases import Lease, LeaseRules
from cairn.process import interrupts_heard

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "hold-a-device.md"

# what exists is a file per object; `full` names places without room, `slow` how many looks an object takes to be ready
WORLD = """#!{python}
import json, pathlib, sys
world, words = pathlib.Path({world!r}), sys.argv[1:]
with (world / "asked").open("a") as log:
    print(json.dumps([pathlib.Path(sys.argv[0]).name, *words]), file=log)
def state(place, name):
    path = world / f"{{place}}.{{name}}"
    if not path.exists():
        return "NONE"
    looks = int(path.read_text() or 0)
    path.write_text(str(looks + 1))
    full = (world / "full").read_text().split() if (world / "full").exists() else []
    return "PENDING" if place in full or looks < int((world / "slow").read_text()) else "ACTIVE"
"""
KUBECTL = """
place = words[words.index("--context") + 1]
verb = words[2]
if verb == "apply":
    import re
    text = sys.stdin.read()
    (world / "manifest.yaml").write_text(text)
    (world / f"{{place}}.{{re.search('name: (.*)', text)[1]}}").write_text("")
elif verb == "wait":
    name = next(word for word in words if word.startswith("pod/"))[4:]
    import time
    for _ in range(4):
        found = state(place, name)
        if found == "ACTIVE":
            sys.exit(0)
        if found == "NONE":
            sys.exit("pods not found")
        time.sleep(0.05)
    sys.exit("timed out waiting for the condition")
elif verb == "delete":
    (world / f"{{place}}.{{words[4]}}").unlink(missing_ok="--ignore-not-found" in words)
"""
GCLOUD = """
assert words[:3] == ["compute", "tpus", "queued-resources"], words
place = words[words.index("--zone") + 1]
verb, name = words[3:5]
if verb == "create":
    assert words[words.index("--accelerator-type") + 1] == "v5p-8" and "--runtime-version" in words
    (world / f"{{place}}.{{words[words.index('--node-id') + 1]}}").write_text("")
elif verb == "describe":
    full = (world / "full").read_text().split() if (world / "full").exists() else []
    found = "FAILED" if place in full else state(place, name)
    if found == "NONE":
        sys.exit("NOT_FOUND")
    print({{"PENDING": "WAITING_FOR_RESOURCES"}}.get(found, found))
elif verb == "delete":
    assert "--force" in words and "--quiet" in words
    (world / f"{{place}}.{{name}}").unlink()
"""
DEV_TPU = """
import time
place = words[1].removeprefix("infra/marin-").removesuffix(".yaml")
assert words[2:] == ["--tpu-name", "me-gdn", "allocate", "--tpu-type", "v5p-8"], words
if place in ((world / "full").read_text().split() if (world / "full").exists() else []):
    sys.exit("no capacity")
path = world / f"{{place}}.me-gdn"
path.write_text("")
print("dev TPU is ready", flush=True)
try:
    while path.exists():
        time.sleep(0.05)
finally:
    path.unlink(missing_ok=True)
"""


def blocks(language: str) -> list[str]:
    """The page's blocks of a language."""
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"))


def configured(title: str) -> Config:
    """The page's block that begins with `# title`."""
    (text,) = [block for block in blocks("toml") if block.startswith(f"# {title}\n")]
    return msgspec.convert(tomllib.loads(text), Config)


@dataclass
class World:
    """Played programs, what exists in their world, and what they were asked."""

    folder: Path
    said: list[str]

    def lease(self, title: str, **rules: object) -> Lease:
        allocator = open_allocator(
            configured(title), Device("me-gdn", "v5p-8", self.folder / "log", ready_s=60, stop_s=20)
        )
        wanted = LeaseRules(**{"places": ["a", "b"], "heartbeat_s": 0.2, "reacquire_s": 0.0, **rules})
        return Lease("me-gdn", allocator, wanted, self.folder / "run", self.said.append)

    def exists(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("?.me-gdn"))

    def asked(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "asked").read_text().splitlines()]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, body in {"kubectl": KUBECTL, "gcloud": GCLOUD, "dev_tpu.py": DEV_TPU, "sleep": ""}.items():
        path = programs / name
        path.write_text((WORLD + body).format(python=sys.executable, world=str(tmp_path)))
        path.chmod(0o755)
    (programs / "sleep").write_text("#!/bin/sh\nexec /bin/sleep 0.05\n")
    (tmp_path / "slow").write_text("2")
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "tpu-pod.yaml").write_text(blocks("yaml")[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return World(tmp_path, [])


def until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def test_the_manifest_asks_for_a_whole_tpu_host() -> None:
    (text,) = blocks("yaml")
    pod = yaml.safe_load(text)
    assert (pod["apiVersion"], pod["kind"], pod["metadata"]["name"]) == ("v1", "Pod", "CAIRN_NAME")
    spec = pod["spec"]
    (container,) = spec["containers"]
    resources = container["resources"]
    assert resources["limits"] == resources["requests"] == {"google.com/tpu": 4}
    topology = spec["nodeSelector"]["cloud.google.com/gke-tpu-topology"]
    assert eval_product(topology) == resources["limits"]["google.com/tpu"]
    assert spec["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"] > 0
    rows = re.findall(r"\| v\w+ \| `([\w-]+)` \| `([\dx]+)` \| (\d+) \|", PAGE.read_text())
    assert spec["nodeSelector"]["cloud.google.com/gke-tpu-accelerator"] in [row[0] for row in rows]
    assert len(rows) == 3
    assert all(eval_product(shape) == int(chips) for _, shape, chips in rows)


def eval_product(topology: str) -> int:
    product = 1
    for side in topology.split("x"):
        product *= int(side)
    return product


@pytest.mark.parametrize("title", ["Kubernetes", "queued resources", "marin"])
def test_a_device_that_comes_late_is_held_and_given_back(world: World, title: str) -> None:
    with world.lease(title) as held:
        assert held.place == "a"
        assert world.exists() == ["a.me-gdn"]
        time.sleep(0.5)
        assert held.place == "a", world.said
    assert world.exists() == []
    assert "released me-gdn at a" in world.said
    if title == "Kubernetes":
        assert yaml.safe_load((world.folder / "manifest.yaml").read_text())["metadata"]["name"] == "me-gdn"


@pytest.mark.parametrize("title", ["Kubernetes", "queued resources", "marin"])
def test_the_next_place_is_tried_and_nothing_is_left_at_the_first(world: World, title: str) -> None:
    (world.folder / "full").write_text("a")
    with world.lease(title) as held:
        assert held.place == "b", world.said
        assert world.exists() == ["b.me-gdn"]
    assert world.exists() == []


@pytest.mark.parametrize("title", ["Kubernetes", "queued resources"])
def test_without_room_anywhere_everything_is_removed(world: World, title: str) -> None:
    (world.folder / "full").write_text("a b")
    with pytest.raises(TryAgain, match="no device `me-gdn` at a, b"), world.lease(title):
        pass
    assert world.exists() == []


@pytest.mark.parametrize("title", ["Kubernetes", "queued resources", "marin"])
def test_a_device_that_is_taken_away_is_noticed_and_got_again(world: World, title: str) -> None:
    with world.lease(title) as held:
        (world.folder / "a.me-gdn").unlink()
        assert until(lambda: "lost me-gdn at a" in world.said), world.said
        assert held.place == ""
        assert held.ensure() == "a"
    assert world.exists() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_holds_until_it_is_interrupted(world: World, number: signal.Signals) -> None:
    (text,) = [block for block in blocks("toml") if block.startswith("# Kubernetes\n")]
    (world.folder / "scripts" / "gdn").mkdir(parents=True)
    (world.folder / "scripts" / "gdn" / "gdnctl.toml").write_text(text)
    (world.folder / "registry.json").write_text("{}")
    words = ["gdnctl", "dev-tpu-allocate", "--cluster", "a", "--tpu-name", "me-gdn", "--tpu-type", "v5p-8"]
    program = "from cairn.cli.main import main; main()"
    with interrupts_heard():  # also below a `nohup`, which makes its children deaf to them
        holder = subprocess.Popen([sys.executable, "-c", program, *words], stderr=subprocess.PIPE, text=True)
    with holder:
        assert holder.stderr is not None
        assert "holding me-gdn at a" in holder.stderr.readline()
        assert world.exists() == ["a.me-gdn"]
        holder.send_signal(number)
        said = holder.stderr.read()
        assert holder.wait(timeout=60) == 0, said
    assert "released me-gdn at a" in said
    assert world.exists() == []
