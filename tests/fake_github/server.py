"""A GitHub of our own on loopback: repositories, issues, comments, paging, error shapes, and faults on request.

It keeps what it was sent, so a test can look at every request; and it forgets nothing between two of them.
"""

import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

LIMIT = 65_536
PAGE = 30


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


@dataclass
class Fault:
    """An answer to give instead: `drop` closes the connection, after acting if `act` is set."""

    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    method: str | None = None
    act: bool = False
    drop: bool = False


class FakeGitHub:
    """State and server in one; use it as a context manager."""

    def __init__(
        self, *, private: bool = True, login: str | None = "climber", token: str = "ghp_secretsecretsecret1"
    ) -> None:
        self.private, self.login, self.token = private, login, token
        self.comments: list[dict[str, Any]] = []
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.issues = {7: "open", 8: "closed"}
        self.locked = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "FakeGitHub":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add_comment(self, body: str, login: str | None = None) -> dict[str, Any]:
        number = len(self.comments) + 1
        user = {"login": login or self.login or "app[bot]", "id": 1, "type": "User" if self.login else "Bot"}
        comment = {
            "id": number,
            "body": body,
            "user": user,
            "url": f"{self.url}/repos/octo/kernels/issues/comments/{number}",
            "html_url": f"{self.url}/octo/kernels/issues/7#issuecomment-{number}",
        }
        self.comments.append(comment)
        return comment

    def written(self) -> list[str]:
        """Methods and paths of the requests that changed something."""
        return [f"{each.method} {each.path}" for each in self.requests if each.method != "GET"]

    def answer(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        """The state's answer: status, body and headers."""
        if request.headers.get("authorization") not in (f"token {self.token}", f"Bearer {self.token}"):
            return 401, {"message": "Bad credentials", "documentation_url": "https://docs.github.com"}, {}
        if request.path == "/user":
            if self.login is None:
                return 403, {"message": "Resource not accessible by integration"}, {}
            return 200, {"login": self.login, "id": 1, "url": f"{self.url}/users/{self.login}", "type": "User"}, {}
        match = re.fullmatch(r"/repos/octo/kernels(/.*)?", request.path)
        if not match:
            return 404, {"message": "Not Found"}, {}
        return self._repository(request, match[1] or "")

    def _repository(self, request: Request, rest: str) -> tuple[int, Any, dict[str, str]]:
        base = f"{self.url}/repos/octo/kernels"
        if not rest:
            data = {"id": 1, "name": "kernels", "full_name": "octo/kernels", "private": self.private, "url": base}
            return 200, data, {}
        if match := re.fullmatch(r"/issues/(\d+)(/comments)?", rest):
            number = int(match[1])
            if number not in self.issues:
                return 404, {"message": "Not Found"}, {}
            if not match[2]:
                data = {
                    "id": number,
                    "number": number,
                    "state": self.issues[number],
                    "url": f"{base}/issues/{number}",
                }
                return 200, data, {}
            return self._create(request) if request.method == "POST" else self._page(request)
        match = re.fullmatch(r"/issues/comments/(\d+)", rest)
        if match and request.method == "PATCH":
            comment = self.comments[int(match[1]) - 1]
            comment["body"] = request.body["body"]
            return 200, comment, {}
        return 404, {"message": "Not Found"}, {}

    def _create(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        body = request.body.get("body", "")
        if self.locked:
            return 403, {"message": "Unable to create comment because issue is locked."}, {}
        if not body.strip() or len(body) > LIMIT:
            return 422, {"message": "Validation Failed", "errors": [{"message": "body is too long"}]}, {}
        return 201, self.add_comment(body.strip()), {}

    def _page(self, request: Request) -> tuple[int, Any, dict[str, str]]:
        size = min(
            int(request.query.get("per_page", [str(PAGE)])[0]), PAGE
        )  # smaller than asked for, as it may be
        page = int(request.query.get("page", ["1"])[0])
        rows = self.comments[(page - 1) * size : page * size]
        more = len(self.comments) > page * size
        link = {"Link": f'<{self.url}{request.path}?per_page={size}&page={page + 1}>; rel="next"'} if more else {}
        return 200, rows, link

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *arguments: Any) -> None:
                """Keep the test's output quiet."""

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(length)
                parts = urlsplit(self.path)
                headers = {key.lower(): value for key, value in self.headers.items()}
                body = json.loads(raw) if raw else None
                request = Request(self.command, parts.path, parse_qs(parts.query), headers, body)
                fake.requests.append(request)
                fault = next((each for each in fake.faults if each.method in (None, self.command)), None)
                if fault:
                    fake.faults.remove(fault)
                    if fault.act:
                        fake.answer(request)
                    if fault.drop:
                        self.close_connection = True
                        return
                    self._send(fault.status, {"message": "fault"}, fault.headers)
                    return
                self._send(*fake.answer(request))

            do_GET = do_POST = do_PATCH = _serve  # noqa: N815 (names that http.server looks for)

            def _send(self, status: int, data: Any, headers: dict[str, str]) -> None:
                payload = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(payload)))
                for key, value in headers.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(payload)

        return Handler
