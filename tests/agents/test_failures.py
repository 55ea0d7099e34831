"""The class of a failure, and when a limit is lifted, as the clients word them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn.agents.failures import classify_failure, reset_time
from cairn.agents.protocol import FAILURES

# Messages of turn.failed, or stderr lines, as Codex 0.169.0 printed them; then those of the other clients.
MESSAGES = {
    "unexpected status 401 Unauthorized: Incorrect API key provided: dummy., url: http://x/v1/responses": "auth",
    "unexpected status 403 Forbidden: Forbidden country, url: http://x/v1/responses": "auth",
    "Missing environment variable: `SCRIPTED_KEY`.": "auth",
    "Not logged in": "auth",
    "To use Codex with your ChatGPT plan, upgrade to Plus: https://x/explore/plus.": "auth",
    "Quota exceeded. Check your plan and billing details.": "quota",
    "You’ve hit your usage limit. Upgrade to Pro or try again at Mar 17th, 2030 5:46 PM.": "rate_limit",
    "exceeded retry limit, last status: 429 Too Many Requests": "rate_limit",
    "rate limit exceeded: Rate limit reached. Please try again in 1s.": "rate_limit",
    "Selected model is at capacity. Please try a different model.": "rate_limit",
    "stream disconnected before completion: idle timeout waiting for SSE": "idle",
    "/usr/bin/env: 'node': No such file or directory": "not_found",
    "We’re currently experiencing high demand, which may cause temporary errors.": "infra",
    "stream disconnected before completion: stream closed before response.completed": "infra",
    "Connection failed: error sending request": "infra",
    "unexpected status 404 Not Found: model not found, url: http://127.0.0.1:4290/v1/responses": "settings",
    '{"error": {"message": "bad thing", "type": "invalid_request_error"}}': "agent_error",
    "Codex ran out of room in the model's context window. Start a new thread.": "context",
    "Error: Model provider `zz` not found": "settings",
    "401: Failed to authenticate. API Error: 401 bad key": "auth",
    "429: API Error: Request rejected (429) · This request would exceed your rate limit": "rate_limit",
    "500: API Error: 500 oops. This is a server-side issue, usually temporary": "infra",
    "404: There's an issue with the selected model (x). It may not exist or you may not have access to it.": "settings",
    "Credit balance is too low": "quota",
    "Claude AI usage limit reached|1795275000": "rate_limit",
    "You've hit your session limit · resets 3pm (Europe/Berlin)": "rate_limit",
    "Prompt is too long": "context",
    "You exceeded your current quota, please check your plan and billing details. Please retry in 34.2s.": "rate_limit",
    "401 APIError bad key": "auth",
    "OSError: [Errno 28] No space left on device": "disk",
    "fatal: Unable to create '/project/.git/index.lock': Read-only file system": "agent_error",
    "connect ECONNREFUSED 127.0.0.1:9": "infra",
    "curl: (6) Could not resolve host: api.x.invalid": "infra",
    "socket.gaierror: [Errno -3] Temporary failure in name resolution": "infra",
    "ssh: connect to host x port 22: No route to host": "infra",
    "sh: 1: my-agent: not found": "not_found",
    "Traceback (most recent call last):\nKeyError: 'x'": "agent_error",
    "429 Too Many Requests, once more\nTraceback (most recent call last):\nKeyError: 'x'": "agent_error",
    "Traceback (most recent call last):\nOSError: connection refused\n\nDuring handling of the above exception, "
    "another exception occurred:\n\nTraceback (most recent call last):\nRuntimeError: no answer": "infra",
    "@@ -1 +1 @@\n-    raise Limit('429 Too Many Requests')\n+    # HTTP 503 overloaded\n1 failed": "agent_error",
    "- usage limit reached\n- try again in 2 hours": "rate_limit",
    "-32000 rate limit exceeded": "rate_limit",
    'Refusing to create helper binaries under "/tmp/pytest-503/oauth/quota-1/.codex"': "agent_error",
    "ran 503-ab in 0.502 s, wrote lib/500/x": "agent_error",
    "": "agent_error",
    '{"error": {"code": 429, "message": "Resource has been exhausted", "status": "RESOURCE_EXHAUSTED"}}': "rate_limit",
    "Error: HTTP 529 {'type': 'overloaded_error'}": "infra",
    "HTTP/1.1 503 Service Unavailable": "infra",
    "Request timed out.": "infra",
    "invalid x-api-key": "auth",
    "Please set an Auth method in your settings.json or specify GEMINI_API_KEY": "auth",
    "OAuth token has expired": "auth",
    "error: unknown option '--no-such'": "settings",
    "agent.py: error: unrecognized arguments: --fast": "settings",
    "Your usage limit resets at 5pm": "rate_limit",
}


# what an agent's own programs say, and what its kernels, branches, problems and folders are called
OTHERS = [
    "fatal: /home/me/oauth: not a git repository",
    "error: pathspec 'cairn/rate-limit' did not match any file(s) known to git",
    "ImportError: cannot import name 'quota' from 'kernels.quota.variants.usage_limit'",
    "kernels/quota/variants/timeout.py:429: AssertionError: 503 of 1024 elements differ",
    'Traceback (most recent call last):\n  File "/w/timed_out/x.py", line 429, in rate_limit\n    connection_reset()\n'
    "ValueError: rate_limit is no block size",
    "AssertionError: 503 of 1024 elements differ, 401 are NaN",
    "SyntaxError: invalid syntax (rate_limit.py, line 503)",
    "jax.errors.JaxRuntimeError: RESOURCE_EXHAUSTED: Ran out of memory in memory space vmem while allocating",
    "RuntimeWarning: invalid value encountered in divide\nAssertionError",
    "RecursionError: the recursion limit reached 1000",
    "VMEM limit reached: 16.2 MiB of 16.0 MiB",
    "the accumulator resets in step 3",
    "subprocess.TimeoutExpired: Command 'cairn judge run' timed out after 20 seconds",
    "usage: agent [--timeout S] [--api-keys]\nthe following argument is missing: FILE",
    "error: no matching function for call to an overloaded function 'connect_timeout'",
    "the feature is unavailable on this chip",
    "warning: the quota of this branch is 3 files",
    "exit status 1: model-503 wrote 429 rows",
    "HTTP 429 Too Many Requests, again in 2 s\n" + "step done\n" * 30 + "AssertionError: outputs differ",
]


@pytest.mark.parametrize("text", OTHERS)
def test_names_and_numbers_of_others_are_no_answer_of_a_server(text):
    assert classify_failure(text) == "agent_error"


@pytest.mark.parametrize(("text", "expected"), MESSAGES.items())
def test_failures_have_classes(text, expected):
    assert classify_failure(text) == expected
    assert expected in FAILURES


NOW = datetime(2026, 11, 21, 14, 0, tzinfo=timezone(timedelta(hours=1)))  # 13:00 UTC, a Saturday
TIMES = {
    "Please try again in 20s.": timedelta(seconds=20),
    "try again in 1 day 2 hours and 3 minutes": timedelta(days=1, hours=2, minutes=3),
    "Please retry in 34.2s.": timedelta(seconds=34.2),
    "Your quota will reset after 3h20m10s.": timedelta(hours=3, minutes=20, seconds=10),
    "Try again in 500ms": timedelta(milliseconds=500),
    '{"error": {"type": "usage_limit_reached", "resets_at": 1795273200}}': timedelta(hours=2),
    '{"resetsAt":1795273200000}': timedelta(hours=2),
    "usage limit reached|1795273200": timedelta(hours=2),
    "Retry-After: 40": timedelta(seconds=40),
    "You’ve hit your usage limit. Upgrade to Pro or try again at Nov 22nd, 2026 5:46 PM.": timedelta(
        hours=27, minutes=46
    ),
    "or try again at 3:46 PM.": timedelta(hours=1, minutes=46),
    "You've hit your limit · resets 3pm (UTC)": timedelta(hours=2),
    "resets 3pm (Europe/Berlin)": timedelta(hours=1),
    "resets 1pm (no/such-zone)": timedelta(hours=23),
    "limited until 2026-11-21T15:00:00Z": timedelta(hours=2),
    "limited until 2026-11-21T15:00:00": timedelta(hours=1),
}


@pytest.mark.parametrize(("text", "after"), TIMES.items())
def test_the_time_of_a_reset_is_found(text, after):
    found = reset_time(text, NOW)

    assert found == NOW + after
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rate limit exceeded",
        "resets_at: 99999999999999",
        "try again at Feb 31st, 2027 3:00 PM",
        "try again in 400 days",
        "try again at Mar 17th, 2020 5:46 PM",
        "2026-99-99T99:99:99Z",
    ],
)
def test_without_a_sensible_time_there_is_none(text):
    assert reset_time(text, NOW) is None


@given(st.text(max_size=300))
def test_any_text_has_a_class_and_perhaps_a_time(text):
    assert classify_failure(text) in FAILURES
    assert reset_time(text, NOW) is None or reset_time(text, NOW).tzinfo is UTC
