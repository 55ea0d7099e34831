"""Sending comments to a GitHub on loopback: once, edited afterwards, never to the public by accident."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("github", reason="PyGithub is not installed (extra: github)")

from cairn.cli.main import main
from cairn.errors import BadInput, Missing, UsageError
from cairn.github import Poster, Target, Unreachable, find_token
from cairn.rounds.comment import LIMIT
from fake_github.server import FakeGitHub, Fault
from rounds.runs import make_run, plan
from workspace import git

BODY = "### Round 2 Summary\n\n| a\\|b | \\`c\\` | $name |\n\n<!-- cairn:round run=gdn round=2 -->\n"


@pytest.fixture
def hub() -> Iterator[FakeGitHub]:
    with FakeGitHub() as server:
        yield server


class Patience:
    """Remembers how long it was asked to wait, and does not."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)


def poster(hub: FakeGitHub, pause: Patience | None = None, **changes: Any) -> Poster:
    return Poster(
        Target(**{"repo": "octo/kernels", "issue": 7, "api": hub.url, **changes}), hub.token, pause or Patience()
    )


def test_the_second_time_the_comment_is_edited(hub: FakeGitHub) -> None:
    hub.add_comment(BODY, login="somebody else")
    first = poster(hub).post(BODY)
    assert (first.action, first.url) == ("created", f"{hub.url}/octo/kernels/issues/7#issuecomment-2")
    assert poster(hub).post(BODY).action == "unchanged"
    changed = poster(hub).post(BODY.replace("Summary", "Summary, again"))
    assert (changed.action, changed.url) == ("edited", first.url)
    assert hub.written() == [
        "POST /repos/octo/kernels/issues/7/comments",
        "PATCH /repos/octo/kernels/issues/comments/2",
    ]
    assert hub.comments[1]["body"] == BODY.replace("Summary", "Summary, again")
    assert hub.comments[0]["body"] == BODY


def test_the_marker_is_found_on_a_later_page(hub: FakeGitHub) -> None:
    for number in range(41):
        hub.add_comment(f"comment {number}")
    hub.add_comment(BODY)
    assert poster(hub).post(BODY + "\n").action == "unchanged"
    other = BODY.replace("round=2", "round=3")
    assert poster(hub).post(other).action == "created"


def test_a_public_repository_is_refused_unless_allowed(hub: FakeGitHub) -> None:
    hub.private = False
    with pytest.raises(UsageError, match="public"):
        poster(hub).post(BODY)
    assert hub.written() == []
    assert poster(hub).post(BODY, public=True).action == "created"


def test_an_app_has_no_name_and_finds_its_comment_all_the_same() -> None:
    with FakeGitHub(login=None) as hub:
        assert poster(hub).post(BODY).action == "created"
        assert poster(hub).post(BODY).action == "unchanged"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(502),
        Fault(500, method="POST"),
        Fault(502, method="POST", act=True),
        Fault(drop=True),
        Fault(drop=True, act=True, method="POST"),
        Fault(403, {"Retry-After": "2"}),
        Fault(429, {"Retry-After": "1"}),
        Fault(403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 3)}),
    ],
    ids=lambda fault: f"{fault.status}-{fault.method}-{fault.act}-{fault.drop}-{len(fault.headers)}",
)
def test_one_fault_is_waited_for_and_doubles_nothing(hub: FakeGitHub, fault: Fault) -> None:
    hub.faults.append(fault)
    pause = Patience()
    assert poster(hub, pause).post(BODY).url
    assert len(hub.comments) == 1
    assert len(pause.waits) == 1
    assert 0 < pause.waits[0] < 5


def test_lasting_faults_are_for_the_outbox(hub: FakeGitHub) -> None:
    hub.faults += [Fault(502) for _ in range(4)]
    pause = Patience()
    with pytest.raises(Unreachable, match="502"):
        poster(hub, pause).post(BODY)
    assert pause.waits == [1.0, 2.0, 4.0]
    hub.faults += [Fault(403, {"Retry-After": "3600"})]
    with pytest.raises(Unreachable):
        poster(hub, pause).post(BODY)
    assert len(pause.waits) == 3, "an hour is not waited for"
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        poster(hub, api="http://127.0.0.1:9").post(BODY)
    assert hub.comments == []


def test_refusals_are_explained_without_the_token(hub: FakeGitHub) -> None:
    with pytest.raises(Missing, match="refuses the token") as caught:
        Poster(Target("octo/kernels", 7, hub.url), "ghp_wrongwrongwrongwrong", Patience()).post(BODY)
    assert "ghp_" not in f"{caught.value} {caught.value.hint}"
    with pytest.raises(Missing, match="octo/kernels#9 is not there"):
        poster(hub, issue=9).post(BODY)
    with pytest.raises(Missing, match="octo/other#7"):
        poster(hub, repo="octo/other").post(BODY)
    assert poster(hub, issue=8).post(BODY).action == "created", "a closed issue takes comments"
    hub.comments.clear()
    hub.locked = True
    with pytest.raises(Missing, match="locked"):
        poster(hub).post(BODY)


def test_what_cannot_be_sent_is_not_tried(hub: FakeGitHub) -> None:
    with pytest.raises(BadInput, match="marker"):
        poster(hub).post("no marker")
    with pytest.raises(BadInput, match="65536"):
        poster(hub).post("x" * LIMIT + BODY)
    with pytest.raises(UsageError, match="is no repository"):
        Target("kernels", 7)
    with pytest.raises(UsageError, match="unencrypted"):
        Target("octo/kernels", 7, "http://github.example.org/api/v3")
    assert hub.requests == []


def test_the_token_comes_from_the_environment_or_gh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Missing, match="no GitHub token"):
        find_token()
    program = tmp_path / "gh"
    program.write_text('#!/bin/sh\necho "from-gh $4"\n')
    program.chmod(0o755)
    assert find_token() == "from-gh github.com"
    assert find_token("https://ghe.example.org/api/v3") == "from-gh ghe.example.org"
    monkeypatch.setenv("GH_TOKEN", "two")
    assert find_token() == "two"
    monkeypatch.setenv("GITHUB_TOKEN", "one")
    assert find_token() == "one"


class Session:
    """Runs `cairn comment` in a project with a recorded round."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self.capsys = root, capsys
        (root / "registry.json").write_text("{}")
        git(root, "init", "--quiet", "--initial-branch=main")
        self.folder = make_run(root)
        self.file = self.folder / "iteration_2" / "comment.md"
        (root / "plan.json").write_text(json.dumps(plan(self.folder)))
        self.run("round", "record", str(root / "plan.json"), "--no-commit")

    def run(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        with pytest.raises(SystemExit) as stop:
            main([*arguments, "--root", str(self.root), "--json"])
        output = self.capsys.readouterr()
        self.errors = output.err
        assert stop.value.code == code, output.err
        return dict(json.loads(output.out)) if output.out else {}

    def post(self, api: str, *more: str, code: int = 0) -> dict[str, Any]:
        where = ("--repo", "octo/kernels", "--issue", "7", "--api", api)
        return self.run("comment", "post", str(self.file), *where, *more, code=code)


@pytest.fixture
def session(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, hub: FakeGitHub
) -> Session:
    monkeypatch.setenv("GITHUB_TOKEN", hub.token)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return Session(tmp_path, capsys)


def test_post_sends_exactly_the_file_and_the_round_hears_of_it(session: Session, hub: FakeGitHub) -> None:
    assert session.post(hub.url, "--dry-run")["sent"] is False
    assert hub.requests == []
    data = session.post(hub.url)
    assert (data["action"], data["sent"]) == ("created", True)
    (sent,) = [each.body for each in hub.requests if each.method == "POST"]
    assert sent == {"body": session.file.read_text()}
    steps = session.run("round", "status", str(session.folder), code=1)["steps"]
    assert [step["proof"] for step in steps if step["name"] == "comment"] == [f"posted: {data['url']}"]
    assert session.post(hub.url)["action"] == "unchanged"
    assert len(hub.comments) == 1


def test_preview_is_deterministic_and_can_be_run_for_any_round(session: Session) -> None:
    before = session.file.read_text()
    plan_path = str(session.root / "plan.json")
    session.run("comment", "preview", str(session.folder), "--round", "2", "--plan", plan_path)
    assert session.file.read_text() == before
    data = session.run("comment", "preview", str(session.folder), "--round", "1", "--dry-run")
    assert data["files"] == []
    assert data["body"].startswith("### Round 1 Summary\n")


def test_preview_shows_a_picture_at_a_web_address_only(session: Session) -> None:
    command = ("comment", "preview", str(session.folder), "--round", "1", "--dry-run", "--picture")
    body = session.run(*command, "https://example.org/@a/climb.svg")["body"]
    assert "](<https://example.org/@a/climb.svg>)\n" in body
    for address in ("javascript:alert(1)", "https://x/) <b>", "climb.svg"):
        session.run(*command, address, code=2)


def test_offline_it_waits_in_the_outbox(session: Session, hub: FakeGitHub) -> None:
    hub.faults += [Fault(502) for _ in range(8)]
    data = session.post(hub.url, code=75)
    assert Path(data["queued"]).is_file()
    assert hub.token not in Path(data["queued"]).read_text()
    session.post(hub.url, code=75)
    assert len(list(Path(data["queued"]).parent.iterdir())) == 1, "the same comment waits once"
    hub.faults += [Fault(502) for _ in range(4)]
    assert session.run("comment", "flush", "--dry-run")["comments"][0]["sent"] is False
    session.run("comment", "flush", code=75)
    rows = session.run("comment", "flush")["comments"]
    assert (rows[0]["sent"], rows[0]["action"]) == (True, "created")
    assert session.run("comment", "flush")["comments"] == []
    assert len(hub.comments) == 1


def test_a_file_that_holds_a_secret_is_not_sent(session: Session, hub: FakeGitHub) -> None:
    good = session.file.read_text()
    for bad in ("see /home/somebody/x", "ssh 10.1.2.3", "token=abcdef123456", "node7.cluster.internal"):
        session.file.write_text(f"{bad}\n\n{good}")
        session.post(hub.url, code=65)
        assert "must not leave" in session.errors
    session.file.write_text("no marker\n")
    session.post(hub.url, code=65)
    session.file.unlink()
    session.post(hub.url, code=65)
    assert hub.requests == []


def test_a_public_repository_needs_a_word(session: Session, hub: FakeGitHub) -> None:
    hub.private = False
    session.post(hub.url, code=2)
    assert "--public" in session.errors
    assert session.post(hub.url, "--public")["sent"] is True


def test_without_pygithub_the_fix_is_said(
    session: Session, hub: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "github", None)
    monkeypatch.delitem(sys.modules, "cairn.github")
    session.post(hub.url, code=69)
    assert "kernel-cairn[github]" in session.errors
    assert session.post(hub.url, "--dry-run")["sent"] is False
