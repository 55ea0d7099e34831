"""`cairn profile fetch` and `gdnctl hf-download-trace` with the hub's own client against a hub on loopback."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

FILES = {
    "run-12/host.trace.json.gz": b"a trace",
    "run-12/host.xplane.pb": b"a large plane",
    "run-12/weights.bin": b"no trace",
    "run-13/host.trace.json.gz": b"another trace",
}
COMMIT = "a" * 40


@contextmanager
def hub(asked: list[str]) -> Iterator[str]:
    """One data set, `me/traces`; everything else is not found."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            asked.append(f"{self.command} {path} {self.headers.get('authorization', '')}".strip())
            listed = path.startswith("/api/datasets/me/traces/tree/main")
            info = path.startswith("/api/datasets/me/traces/revision/main") or path == "/api/datasets/me/traces"
            name = path.partition("/datasets/me/traces/resolve/")[2].partition("/")[2]
            if listed:
                rows = [
                    {"type": "file", "path": each, "size": len(FILES[each]), "oid": "0" * 40} for each in FILES
                ]
                self.send(json.dumps(rows).encode())
            elif info:
                siblings = [{"rfilename": each} for each in FILES]
                self.send(json.dumps({"id": "me/traces", "sha": COMMIT, "siblings": siblings}).encode())
            elif name in FILES:
                self.send(FILES[name])
            else:
                self.send(b"{}", 404)

        def send(self, content: bytes, code: int = 200) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            if code == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def cairn(url: str, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """In a process of its own: the client reads its settings when it is imported."""
    program = "from cairn.cli.main import main; main()"
    environment = {**os.environ, "HF_ENDPOINT": url, "HF_TOKEN": "hf_secret", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
    )


def test_traces_of_a_repository(tmp_path: Path) -> None:
    asked: list[str] = []
    with hub(asked) as url:
        done = cairn(
            url, tmp_path, "gdnctl", "hf-download-trace", "--repo-id", "me/traces", "--output-dir", "here"
        )
        assert done.returncode == 0, done.stderr
        traces = [name for name in FILES if name.endswith(".json.gz")]
        assert {Path(line) for line in done.stdout.split()} == {tmp_path / "here" / name for name in traces}
        assert {name: (tmp_path / "here" / name).read_bytes() for name in traces} == {
            name: FILES[name] for name in traces
        }
        assert not any("xplane" in each or "weights" in each for each in asked), "only what was asked for"
        assert all(each.endswith("Bearer hf_secret") for each in asked)

        words = ("me/traces", "--path-prefix", "run-12", "--include-xplane", "--limit", "1", "--pattern", "*.pb")
        done = cairn(url, tmp_path, "profile", "fetch", *words)
        assert done.stdout.split() == [str(tmp_path / ".profiles/hub/run-12/host.xplane.pb")], done.stderr

        done = cairn(url, tmp_path, "profile", "fetch", "me/traces", "--pattern", "*.csv")
        assert (done.returncode, "it has 4 files" in done.stderr) == (69, True)
        done = cairn(url, tmp_path, "profile", "fetch", "me/nothing")
        assert (done.returncode, "no dataset me/nothing" in done.stderr) == (69, True), done.stderr
        assert "hf_secret" not in done.stderr
