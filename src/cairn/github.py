"""Post comments on GitHub: the one place that speaks to the network on the user's behalf.

Sending is idempotent: the hidden marker at a comment's end is looked for among our own comments, and that one is
edited. Every retry begins with this search, so an answer that got lost doubles nothing. A public repository is
refused unless the caller says that the results may be public.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from cairn.errors import BadInput, CairnError, Missing, TryAgain, Unreachable, UsageError
from cairn.rounds.comment import LIMIT, marker_of

try:
    import github
except ModuleNotFoundError as error:
    raise Missing("PyGithub is not installed", hint="uv tool install --force 'kernel-cairn[github]'") from error

PUBLIC_API = "https://api.github.com"
_TRIES = 4
_LONGEST_WAIT_S = 60.0
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """Where a comment goes. `api`: the API's base URL, another one for GitHub Enterprise."""

    repo: str
    issue: int
    api: str = PUBLIC_API

    def __post_init__(self) -> None:
        if not _REPOSITORY.fullmatch(self.repo):
            raise UsageError(f"`{self.repo}` is no repository", hint="write --repo OWNER/NAME")
        parts = urlsplit(self.api)
        loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
        if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
            raise UsageError(f"`{self.api}` would send the token unencrypted", hint="use an https:// URL")


@dataclass(frozen=True)
class Posted:
    """What became of a comment: created, edited or unchanged, and where it stands."""

    url: str
    action: str


def find_token(api: str = PUBLIC_API) -> str:
    """The user's token: GITHUB_TOKEN, GH_TOKEN, else what `gh auth token` says.

    Raises:
        Missing: there is none.
    """
    for name in ("GITHUB_TOKEN", "GH_TOKEN"):
        if value := os.environ.get(name, "").strip():
            return value
    if program := shutil.which("gh"):
        host = urlsplit(api).hostname or ""
        host = "github.com" if host == "api.github.com" else host
        command = [program, "auth", "token", "--hostname", host]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=20
            )
        except subprocess.TimeoutExpired as error:
            raise TryAgain("`gh auth token` does not answer") from error
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip()
    raise Missing("no GitHub token", hint="set GITHUB_TOKEN, or run `gh auth login`")


class Poster:
    """Posts to one issue. `pause` waits between tries, given seconds."""

    def __init__(self, target: Target, token: str, pause: Callable[[float], None] | None = None) -> None:
        self.target = target
        self._pause = pause or time.sleep
        self._api = github.Github(
            base_url=target.api.rstrip("/"),
            auth=github.Auth.Token(token),
            retry=None,  # PyGithub's own retries would repeat a POST without looking whether it arrived
            timeout=30,
            per_page=100,
            seconds_between_requests=0,
            seconds_between_writes=0,
            user_agent="cairn",
        )

    def post(self, body: str, *, public: bool = False) -> Posted:
        """Send a comment, or edit the one of ours that has its marker.

        Raises:
            BadInput: it has no marker, or is too long.
            UsageError: the repository is public and `public` is not said.
            Missing: the repository or issue is not there, or the token may not write.
            Unreachable: no answer, or a rate limit that lasts.
        """
        marker = marker_of(body)
        if marker is None:
            raise BadInput("the comment has no marker at its end", hint="make it with `cairn comment preview`")
        if len(body) > LIMIT:
            raise BadInput(
                f"{len(body)} characters; GitHub takes {LIMIT}", hint="make it with `cairn comment preview`"
            )
        return self._patiently(lambda: self._post(body, marker, public=public))

    def _post(self, body: str, marker: str, *, public: bool) -> Posted:
        repository = self._api.get_repo(self.target.repo)
        if not repository.private and not public:
            raise UsageError(f"{self.target.repo} is public", hint="add --public if these results may be public")
        issue = repository.get_issue(self.target.issue)
        login = self._login()
        for comment in issue.get_comments():
            if marker_of(comment.body or "") == marker and _is_ours(comment.user, login):
                if _same(comment.body, body):
                    return Posted(comment.html_url, "unchanged")
                comment.edit(body)
                return Posted(comment.html_url, "edited")
        return Posted(issue.create_comment(body).html_url, "created")

    def _login(self) -> str | None:
        """Our own name; None for the token of an app, which has none."""
        try:
            return self._api.get_user().login
        except github.GithubException as error:
            if error.status == 403 and not _wait_of(error.headers or {}):
                return None
            raise

    def _patiently(self, act: Callable[[], T]) -> T:
        for attempt in range(_TRIES):
            try:
                return act()
            except github.GithubException as error:
                wait = _wait_s(error, attempt)
                if wait is None:
                    raise _explained(error, self.target) from error
                if attempt + 1 == _TRIES or wait > _LONGEST_WAIT_S:
                    raise Unreachable(
                        f"GitHub does not take it now (status {error.status})", hint="`cairn comment flush` later"
                    ) from error
            except OSError as error:  # requests' errors are OSErrors
                wait = 2.0**attempt
                if attempt + 1 == _TRIES:
                    name = type(error).__name__
                    raise Unreachable(
                        f"{urlsplit(self.target.api).hostname}: {name}", hint="`cairn comment flush` when online"
                    ) from error
            self._pause(wait)
        raise AssertionError("unreachable")


def _is_ours(user: Any, login: str | None) -> bool:
    if user is None:
        return False
    return bool(user.login == login if login else user.type == "Bot")


def _same(one: str | None, other: str) -> bool:
    """GitHub strips the ends of a comment and may change line endings."""
    return (one or "").replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()


def _wait_s(error: github.GithubException, attempt: int) -> float | None:
    """How long to wait before the next try; None when trying again is of no use."""
    if error.status in (403, 429):
        wait = _wait_of(error.headers or {})
        return wait if wait is not None else (2.0**attempt if error.status == 429 else None)
    return 2.0**attempt if error.status >= 500 else None


def _wait_of(headers: Mapping[str, Any]) -> float | None:
    """Seconds that a rate limit asks for; None when the answer speaks of none."""
    lower = {str(key).lower(): str(value) for key, value in headers.items()}
    if (after := lower.get("retry-after", "")).isdigit():
        return float(after)
    if lower.get("x-ratelimit-remaining") == "0" and lower.get("x-ratelimit-reset", "").isdigit():
        return max(1.0, float(lower["x-ratelimit-reset"]) - time.time())
    return None


def _explained(error: github.GithubException, target: Target) -> CairnError:
    """GitHub's refusal as one of ours; its message is kept, and it never holds the token."""
    data = error.data if isinstance(error.data, dict) else {}
    said = " ".join(str(data.get("message") or "").split())[:200]
    where = f"{target.repo}#{target.issue}"
    if error.status == 401:
        return Missing(f"GitHub refuses the token: {said}", hint="renew GITHUB_TOKEN, or run `gh auth login`")
    if error.status in (404, 410):
        return Missing(
            f"{where} is not there, or the token may not see it: {said}", hint="look at --repo and --issue"
        )
    if error.status == 403:
        hint = "the token needs to write issues; a locked issue takes no comments"
        return Missing(f"GitHub forbids writing to {where}: {said}", hint=hint)
    return BadInput(f"GitHub does not take the comment ({error.status}): {said}")
