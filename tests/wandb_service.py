"""As much of the W&B service as its client needs to list a run's artifacts and fetch files of them, on loopback."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789" * 4
_WHEN = "2026-01-01T00:00:00"
_VIEWER = {"id": "1", "entity": "me", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}


class FakeWandb:
    """A service with one finished run, `me/kernels/run-1`, and room for runs that are logged.

    Attributes:
        artifacts: what each artifact of the finished run holds, by its path.
        fetched: addresses of files that were downloaded.
        history: rows that were logged, of all runs; `files`: what was uploaded, by its name.
        unknown: requests that this service has no answer for.
    """

    def __init__(self, artifacts: Mapping[str, Mapping[str, bytes]]) -> None:
        self.artifacts = artifacts
        self.unknown: list[str] = []
        self.fetched: list[str] = []
        self.history: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.url = ""
        self._answers: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "Viewer": lambda _: {"viewer": _VIEWER},
            "GetDefaultEntity": lambda _: {"viewer": _VIEWER},
            "ServerFeaturesQuery": lambda _: {"serverInfo": {"features": []}},
            "Run": self._run,
            "RunOutputArtifacts": self._output_artifacts,
            "FetchArtifactManifest": self._current_manifest,
            "RunResumeStatus": self._resume_status,
            "UpsertBucket": self._upsert_bucket,
            "CreateRunFiles": self._run_files,
        }

    def answer(self, query: str, variables: Mapping[str, Any]) -> Any:
        """The data of one GraphQL request."""
        name = re.search(r"(?:query|mutation)\s+(\w+)", query)
        act = self._answers.get(name[1]) if name else None
        if act is None:
            self.unknown.append(f"{query} {dict(variables)}")
            return {}
        return act(variables)

    def _run(self, variables: Mapping[str, Any]) -> Any:
        if variables["name"] != "run-1":
            return {"project": {"run": None}}
        run = {
            **{"id": "r", "name": "run-1", "displayName": "first", "state": "finished", "tags": [], "group": None},
            **{"jobType": None, "commit": None, "readOnly": True, "createdAt": _WHEN, "heartbeatAt": _WHEN},
            **{"config": "{}", "summaryMetrics": "{}", "systemMetrics": "{}", "historyKeys": {}},
            **{"historyLineCount": 0, "description": "", "notes": None, "sweepName": None, "projectId": "1"},
            "user": {"name": "me", "username": "me"},
        }
        return {"project": {"run": run}}

    def _output_artifacts(self, variables: Mapping[str, Any]) -> Any:
        edges = [{"node": _artifact(name), "cursor": name} for name in self.artifacts]
        page = {"endCursor": None, "hasNextPage": False}
        found = {"totalCount": len(edges), "pageInfo": page, "edges": edges}
        return {"project": {"run": {"artifacts": found}}}

    def _current_manifest(self, variables: Mapping[str, Any]) -> Any:
        url = f"{self.url}/manifest/{variables['id']}"
        return {"artifact": {"currentManifest": {"id": "m", "file": {"directUrl": url}}}}

    def get(self, path: str) -> bytes | None:
        """The content behind a plain address."""
        if path.startswith("/manifest/"):
            return json.dumps(self._manifest(path.rpartition("/")[2])).encode()
        self.fetched.append(path)
        digest = path.split("/")[-2]
        contents = [content for files in self.artifacts.values() for content in files.values()]
        return next((content for content in contents if hashlib.md5(content).hexdigest() == digest), None)

    def stream(self, said: Mapping[str, Any]) -> Any:
        """What a run that is being logged sends: rows of its history, at an offset, and its summary."""
        sent = said.get("files", {}).get("wandb-history.jsonl", {"offset": 0, "content": []})
        rows = [json.loads(row) for row in sent["content"]]
        self.history[sent["offset"] : sent["offset"] + len(rows)] = rows
        return {}

    def _resume_status(self, variables: Mapping[str, Any]) -> Any:
        found = self._bucket(variables) if self.history else None
        if found is not None:
            tail = json.dumps([json.dumps(row) for row in self.history[-1:]])
            found |= {"summaryMetrics": "{}", "logLineCount": 0, "eventsLineCount": 0, "historyTail": tail}
            found |= {"eventsTail": "[]", "tags": [], "notes": None, "wandbConfig": json.dumps({"t": {}})}
        return {"model": {"id": "p", "name": "kernels", "entity": {"id": "e", "name": "me"}, "bucket": found}}

    def _upsert_bucket(self, variables: Mapping[str, Any]) -> Any:
        return {"upsertBucket": {"bucket": self._bucket(variables), "inserted": not self.history}}

    def _bucket(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        project = {"id": "p", "name": "kernels", "entity": {"id": "e", "name": "me"}}
        named = {"id": "r", "name": variables["name"], "displayName": variables["name"], "description": None}
        return {
            **named,
            "config": "{}",
            "sweepName": None,
            "project": project,
            "historyLineCount": len(self.history),
        }

    def _run_files(self, variables: Mapping[str, Any]) -> Any:
        files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in variables["files"]]
        return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}

    def _manifest(self, name: str) -> dict[str, Any]:
        entries = {
            path: {
                "digest": base64.b64encode(hashlib.md5(content).digest()).decode(),
                "birthArtifactID": base64.b64encode(b"Artifact:1").decode(),
                "size": len(content),
            }
            for path, content in self.artifacts[name].items()
        }
        policy = {"storagePolicy": "wandb-storage-policy-v1", "storagePolicyConfig": {"storageLayout": "V2"}}
        return {"version": 1, **policy, "contents": entries}


def _artifact(name: str) -> dict[str, Any]:
    internal = base64.b64encode(b"ProjectInternalId:1").decode()
    project = {"id": "p", "internalId": internal, "name": "kernels", "entity": {"id": "e", "name": "me"}}
    sequence = {"id": "s", "name": name, "project": project, "__typename": "ArtifactSequence"}
    return {
        **{"__typename": "Artifact", "id": name, "artifactSequence": sequence, "versionIndex": 3},
        **{"artifactType": {"name": "profile"}, "description": None, "metadata": "{}", "tags": []},
        **{"ttlDurationSeconds": 0, "ttlIsInherited": True, "historyStep": None, "state": "COMMITTED"},
        **{"size": 1, "digest": "d", "digestAlgorithm": None, "commitHash": name, "fileCount": 1},
        **{"createdAt": _WHEN, "updatedAt": None, "aliases": []},
    }


@contextmanager
def serving(fake: FakeWandb) -> Iterator[str]:
    """The service's address."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_POST(self) -> None:
            asked = json.loads(self._body())
            if self.path == "/graphql":
                found = {"data": fake.answer(asked["query"], asked.get("variables") or {})}
            else:
                found = fake.stream(asked)
            self._send(json.dumps(found).encode())

        def do_PUT(self) -> None:
            fake.files[self.path.removeprefix("/upload/")] = self._body()
            self._send(b"")

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers["Content-Length"]))

        def do_GET(self) -> None:
            found = fake.get(self.path)
            self._send(found or b"", 404 if found is None else 200)

        def _send(self, content: bytes, code: int = 200) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        fake.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield fake.url
        finally:
            server.shutdown()
            thread.join()
