"""A process that holds the actors of a climb on a Ray cluster: Ray's threads, signal handlers and ends stay in it.

    python -m cairn.execution.ray_keeper

Its first line of input says what to hold, one line of JSON; each later line {"id", "slot", "limit_s"} asks where a slot
is now, and is answered by a line {"id", "host", "port", "node"} or {"id", "error"}. Ray decides on which node a slot
lives and starts its actor again elsewhere when the node is lost. All ends with the input.
"""

import contextlib
import io
import json
import subprocess
import sys
import tarfile
import threading
import time
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray

_AGAIN_S = 0.5
_OPTIONS = {"CPU": "num_cpus", "GPU": "num_gpus"}  # these have options of their own; all else is a custom resource


def main() -> int:
    """Hold what the first line asks for until the input ends."""
    wish = json.loads(sys.stdin.readline())
    try:
        ray.init(address=wish["address"], log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        _say({"error": f"no Ray cluster at {wish['address']}: {str(error)[-600:]}"})
        return 1
    archive = Path(wish["archive"]).read_bytes()
    asked = actor_options(wish["resources"])
    slots = [Slot(asked, archive, wish["far_python"], token) for token in wish["tokens"]]
    for line in sys.stdin:
        question = json.loads(line)
        slot = slots[question["slot"]]
        threading.Thread(target=_answer, args=(question, slot), daemon=True).start()
    for slot in slots:
        slot.end()
    ray.shutdown()
    return 0


def actor_options(resources: Mapping[str, float]) -> dict[str, Any]:
    """Resources by the names that users know, as Ray wants them; one CPU when nothing is said of CPUs."""
    own = {_OPTIONS[name]: count for name, count in resources.items() if name in _OPTIONS}
    custom = {name: count for name, count in resources.items() if name not in _OPTIONS}
    return {"num_cpus": 1, **own, "resources": custom}


def _answer(question: Mapping[str, Any], slot: "Slot") -> None:
    _say({"id": question["id"], **slot.where(question["limit_s"])})


_printing = threading.Lock()


def _say(fields: Mapping[str, Any]) -> None:
    with _printing, contextlib.suppress(BrokenPipeError):
        print(json.dumps(fields), flush=True)


class Slot:
    """One actor, wherever it lives now."""

    def __init__(self, asked: Mapping[str, Any], archive: bytes, python: str, token: str) -> None:
        remote: Any = ray.remote(FarHost)
        # Ray starts a lost actor again on a node that has what it needs; nothing that it was asked is repeated
        options = remote.options(**asked, max_restarts=-1)
        self._start: Callable[[], Any] = lambda: options.remote(archive, python, token)
        self._actor = self._start()
        self._asking = threading.Lock()

    def where(self, limit_s: float) -> dict[str, Any]:
        """Host, port and node of its server, or an error; waits while the actor is started, here or elsewhere."""
        deadline, trouble = time.monotonic() + limit_s, "it was not asked in time"
        with self._asking:
            while (left := deadline - time.monotonic()) > 0:
                try:
                    return dict(ray.get(self._actor.address.remote(), timeout=left))
                except ray.exceptions.GetTimeoutError:
                    return {"error": "no node of the cluster has what it needs, or none answers"}
                except ray.exceptions.ActorDiedError as error:
                    trouble = str(error)
                    self._actor = self._start()
                except ray.exceptions.ActorUnavailableError as error:
                    trouble = str(error)
                except ray.exceptions.RayError as error:
                    return {"error": str(error)[-600:]}
                time.sleep(_AGAIN_S)
        return {"error": trouble[-600:]}

    def end(self) -> None:
        """End the actor and what it started; its resources are free then."""
        with contextlib.suppress(ray.exceptions.RayError, ConnectionError, ValueError):
            ray.get(self._actor.end.remote(), timeout=5)
        with contextlib.suppress(ray.exceptions.RayError, ConnectionError, ValueError):
            ray.kill(self._actor)


def _unpacked(archive: bytes) -> dict[str, bytes]:
    """Files of a packed worker folder by name; a filter for extractall is newer than Python 3.11.2."""
    files = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        for member in packed:
            content = packed.extractfile(member)
            assert content is not None
            files[Path(member.name).name] = content.read()
    return files


class FarHost:
    """Lives in the cluster: runs `far.py` on its node. Nothing of cairn is installed there, nor imported."""

    def __init__(self, archive: bytes, python: str, token: str) -> None:
        files = _unpacked(archive)
        scratch = types.ModuleType("scratch")
        exec(files["scratch.py"], vars(scratch))  # the only file of cairn that is needed before there is a folder
        self._folder: Path = scratch.new_folder("bundle")
        self._remove: Callable[[Path], None] = scratch.remove
        for name, content in files.items():
            (self._folder / name).write_bytes(content)
        self._python = python or sys.executable
        self._token = token
        self._server: subprocess.Popen[str] | None = None
        self._port = 0

    def address(self) -> dict[str, Any]:
        """Host and port of the server, which is started when it does not run, and Ray's name of the node."""
        node_ip: Any = ray.util.get_node_ip_address  # it has no type
        host = str(node_ip())
        if self._server is None or self._server.poll() is not None:
            self._serve(host)
        return {"host": host, "port": self._port, "node": ray.get_runtime_context().get_node_id()}

    def _serve(self, host: str) -> None:
        command = [self._python, "-E", "-s", "-B", str(self._folder / "far.py"), "serve", host]
        # it ends with this actor: when the pipe to its stdin closes
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(self._token + "\n")
        self._server.stdin.flush()
        self._port = int(self._server.stdout.readline())

    def end(self) -> None:
        """End the server and what it started."""
        if self._server is not None:
            assert self._server.stdin is not None
            self._server.stdin.close()
            self._server.wait(timeout=10)
        self._remove(self._folder)


if __name__ == "__main__":
    sys.exit(main())  # as the main module its classes travel by value
