"""Every request that we send is one that GitHub describes."""

import pytest

pytest.importorskip("github", reason="PyGithub is not installed (extra: github)")

from fake_github.api_description import DESCRIPTION, ApiDescription
from fake_github.server import FakeGitHub, Request
from fake_github.test_github import BODY, poster


@pytest.fixture(scope="module")
def described() -> ApiDescription:
    if not DESCRIPTION.is_file():
        pytest.skip("no GitHub API description in $CAIRN_TEST_OPENAPI or .clients/node_modules/@octokit/openapi")
    return ApiDescription(DESCRIPTION)


def test_requests_are_as_github_describes_them(described: ApiDescription) -> None:
    with FakeGitHub() as hub:
        for number in range(41):
            hub.add_comment(f"comment {number}")
        poster(hub).post(BODY)
        poster(hub).post(BODY.replace("Summary", "Again"))
        faults = [fault for request in hub.requests for fault in described.faults(request)]
        assert faults == []
        assert {each.method for each in hub.requests} == {"GET", "POST", "PATCH"}
        assert len(hub.requests) > 8


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "said"),
    [
        ("PUT", "/repos/o/r/issues/7/comments", {}, {"body": "x"}, "not described"),
        ("GET", "/repos/o/r/issues/7/nonsense", {}, None, "not described"),
        ("POST", "/repos/o/r/issues/7/comments", {}, {}, "missing property body"),
        ("POST", "/repos/o/r/issues/7/comments", {}, {"body": 3}, "no str"),
        ("POST", "/repos/o/r/issues/7/comments", {}, {"body": "x", "colour": "y"}, "unknown property colour"),
        ("GET", "/repos/o/r/issues/7/comments", {"sides": ["2"]}, None, "query parameter sides"),
        ("GET", "/user", {}, {"a": 1}, "takes no body"),
    ],
)
def test_planted_faults_are_found(
    described: ApiDescription, method: str, path: str, query: dict[str, list[str]], body: object, said: str
) -> None:
    (fault,) = described.faults(Request(method, path, query, {}, body))
    assert said in fault
