"""Hosts of a Ray cluster: an actor for each worker slot, on whatever node has the resources asked for.

Ray decides where and keeps watch; the actor only starts `far.py` on its node and tells its address. A worker is then
reached over TCP with a token that nobody else has. When a node is lost, its connections end, and the judge says that
the host was lost. `resources` are Ray's own names, such as `TPU` or `TPU-v5p-8-head`.
"""

import contextlib
import importlib.util
import io
import secrets
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cairn.errors import Missing, Unreachable
from cairn.execution.places import Wanted, bundle

_READY_S = 300.0


class RayBackend:
    """Opens `slots` workers on the cluster at the first address; without one, on the cluster that is running."""

    @contextlib.contextmanager
    def open(self, wanted: Wanted, folder: Path) -> Iterator[list[dict[str, Any]]]:
        """Connect to the cluster and start one actor for each slot."""
        del folder
        if importlib.util.find_spec("ray") is None:
            raise Missing("--backend ray needs ray", hint="pip install 'kernel-cairn[ray]'")
        import ray

        address = wanted.addresses[0] if wanted.addresses else "auto"
        try:
            if not ray.is_initialized():
                ray.init(address=address, log_to_driver=False)
        except (ConnectionError, ValueError, ray.exceptions.RayError) as error:
            raise Unreachable(
                f"no Ray cluster at {address}: {error}", hint="ray start --head, or --address"
            ) from error
        packed = bundle()
        with contextlib.ExitStack() as stack:
            yield [
                stack.enter_context(_slot(ray, packed.archive, wanted, at)) for at in range(max(1, wanted.slots))
            ]


@contextlib.contextmanager
def _slot(ray: Any, archive: bytes, wanted: Wanted, at: int) -> Iterator[dict[str, Any]]:
    """One actor on one node, while the context lasts."""
    token = secrets.token_hex(32)
    asked = dict(wanted.resources)
    remote = ray.remote(FarHost).options(num_cpus=1, resources=asked, name=f"cairn-{secrets.token_hex(6)}")
    actor = remote.remote(archive, wanted.far_python, token)
    try:
        try:
            host, port, node = ray.get(actor.address.remote(), timeout=_READY_S)
        except ray.exceptions.GetTimeoutError as error:
            raise Unreachable(
                f"no node of the cluster has {asked or 'a free CPU'} within {_READY_S:.0f} s"
            ) from error
        except ray.exceptions.RayError as error:
            raise Unreachable(f"the cluster did not start a worker: {str(error)[-400:]}") from error
        yield {"name": f"ray:{node[:8]}/{at}", "address": [host, port], "token": token}
    finally:
        with contextlib.suppress(ray.exceptions.RayError, ConnectionError, ValueError):
            ray.get(actor.end.remote(), timeout=10)
        with contextlib.suppress(ray.exceptions.RayError, ConnectionError, ValueError):
            ray.kill(actor)


class FarHost:
    """Lives in the cluster: runs `far.py` on its node. Nothing of cairn is installed there."""

    def __init__(self, archive: bytes, python: str, token: str) -> None:
        import ray

        self._folder = tempfile.TemporaryDirectory(prefix="cairn-bundle-")
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            for member in packed:  # a filter for extractall is newer than Python 3.11.2
                content = packed.extractfile(member)
                assert content is not None
                Path(self._folder.name, Path(member.name).name).write_bytes(content.read())
        node_ip: Any = ray.util.get_node_ip_address  # it has no type
        self._host = str(node_ip())
        command = [python or sys.executable, "-E", "-s", "-B", f"{self._folder.name}/far.py", "serve", self._host]
        # it ends with this actor: when the pipe to its stdin closes
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(token + "\n")
        self._server.stdin.flush()
        self._port = int(self._server.stdout.readline())

    def address(self) -> tuple[str, int, str]:
        """Host, port and Ray's name of the node."""
        import ray

        return self._host, self._port, ray.get_runtime_context().get_node_id()

    def end(self) -> None:
        """End the server and what it started."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(timeout=10)
        self._folder.cleanup()
