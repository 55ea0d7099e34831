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
    "sh: 1: my-agent: not found": "not_found",
    "Traceback (most recent call last):\nKeyError: 'x'": "agent_error",
    'Refusing to create helper binaries under "/tmp/pytest-503/oauth/quota-1/.codex"': "agent_error",
    "ran 503-ab in 0.502 s, wrote lib/500/x": "agent_error",
    "": "agent_error",
}


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
