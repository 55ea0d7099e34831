"""The client's environment is an allow-list; keys come in only for the provider that it is configured for."""

import pytest

from cairn.agents.codex_environment import build_environment

PARENT = {
    "PATH": "/bin",
    "HOME": "/nowhere",
    "LANG": "C.UTF-8",
    "https_proxy": "http://127.0.0.1:9",
    "OPENAI_API_KEY": "own",
    "OTHER_KEY": "other",
    "TEAM_TOKEN": "team",
    "GITHUB_TOKEN": "unrelated",
    "LD_PRELOAD": "/evil.so",
    "CAIRN_PROCESS_TREE": "mark of an outer tree",
}
BASE = {"PATH", "HOME", "LANG", "https_proxy"}
TWO_PROVIDERS = """
model_provider = "other"
[model_providers.other]
env_key = "OTHER_KEY"
[model_providers.team]
env_key = "OPENAI_API_KEY"
env_http_headers = {"X-Team" = "TEAM_TOKEN"}
"""


def names(tmp_path, *overrides, profile=None, config="", profile_config=""):
    (tmp_path / "config.toml").write_text(config)
    (tmp_path / "fast.config.toml").write_text(profile_config)
    parent = {**PARENT, "CODEX_HOME": str(tmp_path)}
    return set(build_environment(parent, {}, profile=profile, overrides=overrides)) - {"CODEX_HOME"}


def test_without_a_configured_provider_the_clients_own_key_is_let_in(tmp_path):
    assert names(tmp_path) == BASE | {"OPENAI_API_KEY"}


def test_a_configured_provider_gets_its_own_key_and_no_other(tmp_path):
    assert names(tmp_path, config=TWO_PROVIDERS) == BASE | {"OTHER_KEY"}


@pytest.mark.parametrize("override", ["model_provider=team", 'model_provider="team"'])
def test_an_override_chooses_another_provider(tmp_path, override):
    assert names(tmp_path, override, config=TWO_PROVIDERS) == BASE | {"OPENAI_API_KEY", "TEAM_TOKEN"}


def test_an_override_may_name_the_key(tmp_path):
    override = 'model_providers.other.env_key="TEAM_TOKEN"'

    assert names(tmp_path, override, config=TWO_PROVIDERS) == BASE | {"TEAM_TOKEN"}


def test_a_profile_chooses_another_provider(tmp_path):
    profile = 'model_provider = "team"'

    found = names(tmp_path, profile="fast", config=TWO_PROVIDERS, profile_config=profile)

    assert found == BASE | {"OPENAI_API_KEY", "TEAM_TOKEN"}


@pytest.mark.parametrize(
    "config",
    ["model_provider = ", 'model_provider = "gone"', "model_providers = 3", 'model_provider = ["list"]'],
)
def test_a_broken_configuration_is_left_to_the_client(tmp_path, config):
    assert names(tmp_path, config=config) == BASE | {"OPENAI_API_KEY"}


def test_what_the_caller_adds_wins(tmp_path):
    extra = {"PATH": "/opt/bin", "MINE": "1", "CODEX_HOME": str(tmp_path)}

    found = build_environment(PARENT, extra, profile=None, overrides=())

    assert found["PATH"] == "/opt/bin"
    assert found["MINE"] == "1"
