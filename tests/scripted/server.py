"""The scripted model's server: 127.0.0.1 only, a free port, gone when its `with` block ends.

with ScriptedModel([edits("kernel.py", "...", "done")]) as model:
    ...  # start a client with model.base_url; afterwards look at model.requests
"""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from scripted.dialect import Body, Dialect, Event
from scripted.responses import ResponsesDialect
from scripted.turns import Drop, Failed, Fault, Reply, Scenario, Stall, Status

_SECRET_HEADERS = {"authorization", "x-api-key", "x-goog-api-key", "cookie", "proxy-authorization"}


@dataclass(frozen=True)
class Request:
    """One request as it came, keys blanked. `scenario` is None when nothing in the script wanted it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    conversation: str = ""
    depth: int = 0
    scenario: int | None = None


class ScriptedModel:
    """Plays scenarios to whoever asks.

    Attributes:
        requests: every request so far, in the order in which they came.
        closing: set when the server stops; stalled answers wait for it.
    """

    def __init__(self, scenarios: Iterable[Scenario], dialect: Dialect | None = None) -> None:
        self.scenarios = list(scenarios)
        self.dialect = dialect or ResponsesDialect()
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._chosen: dict[str, int] = {}
        self._tries: Counter[tuple[str, int]] = Counter()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def unplayed(self) -> list[int]:
        """Numbers of the scenarios that no conversation has asked for."""
        return [number for number in range(len(self.scenarios)) if number not in self._chosen.values()]

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: Body) -> Reply | Fault | bytes:
        """Record a request and look up what the script says to it."""
        blanked = {k: "***" if k.lower() in _SECRET_HEADERS else v for k, v in headers.items()}
        with self._lock:
            aside = self.dialect.aside(method, path, body)
            if aside is not None or method != "POST" or not self.dialect.wants(path):
                self.requests.append(Request(method, path, blanked, body))
                return Status(404, {"message": f"not scripted: {method} {path}"}) if aside is None else aside
            conversation, depth = self.dialect.conversation(body), self.dialect.depth(body)
            scenario = self._scenario(conversation, self.dialect.prompt(body))
            self.requests.append(Request(method, path, blanked, body, conversation, depth, scenario))
            if scenario is None:
                return _off_script("no scenario is left for this prompt")
            turns = self.scenarios[scenario].turns
            if depth >= len(turns):
                return _off_script(f"scenario {scenario} has only {len(turns)} turns")
            tried = self._tries[conversation, depth]
            self._tries[conversation, depth] += 1
        return self._turn(turns[depth], tried, body)

    def _scenario(self, conversation: str, prompt: str) -> int | None:
        if conversation not in self._chosen:
            for number in self.unplayed():
                if re.search(self.scenarios[number].when, prompt):
                    self._chosen[conversation] = number
                    break
        return self._chosen.get(conversation)

    def _turn(self, turn: Reply | Fault, tried: int, body: Body) -> Reply | Fault:
        if not isinstance(turn, Reply):
            return turn
        if tried < len(turn.faults):
            return turn.faults[tried]
        if not re.search(turn.expect, self.dialect.visible(body)):
            return _off_script(f"the client did not send {turn.expect!r}")
        return turn


def _off_script(message: str) -> Status:
    return Status(400, {"message": f"off script: {message}", "type": "invalid_request_error"})


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for every answer, so that no socket is left to the garbage collector

    def __init__(self, model: ScriptedModel) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model = model


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.0"  # one request a connection: its end is the end of the stream
    timeout = 10

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing; `ScriptedModel.requests` is the log."""

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        body = json.loads(self.rfile.read(length) or b"{}")
        dialect = self.server.model.dialect
        try:
            match self.server.model.answer(self.command, self.path, dict(self.headers), body):
                case bytes() as payload:
                    kind = "text/event-stream" if payload.startswith(b"data:") else "application/json"
                    self._send(200, {"Content-Type": kind}, payload)
                case Status(code, error, headers):
                    self._send(code, {"Content-Type": "application/json", **headers}, dialect.error(code, error))
                case Drop(after_events):
                    self._send_events(list(dialect.stream(body, Reply([])))[:after_events])
                case Stall(after_events):
                    self._send_events(list(dialect.stream(body, Reply([])))[:after_events])
                    self.server.model.closing.wait()
                case Failed() as fault:
                    self._send_events(list(dialect.failure(body, fault)))
                case Reply() as reply:
                    self._send_events(list(dialect.stream(body, reply)))
        except ConnectionError:
            pass  # the client has gone; a killed client is what half of the tests are about

    def do_GET(self) -> None:
        self.do_POST()

    def do_HEAD(self) -> None:
        self.do_POST()

    def _send(self, code: int, headers: Mapping[str, str], payload: bytes) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)

    def _send_events(self, events: Sequence[Event]) -> None:
        if not events:
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for number, event in enumerate(events):
            self.wfile.write(self.server.model.dialect.encode(number, event))
            self.wfile.flush()
