"""What of the environment concerns the Codex client: the keys of the provider it is configured for, and who pays."""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cairn.agents.environment import pick

_OWN_VARIABLES = ("CODEX_HOME", "CODEX_CA_CERTIFICATE")
_OWN_PROVIDER_KEYS = ("OPENAI_API_KEY", "CODEX_API_KEY", "CODEX_ACCESS_TOKEN", "OPENAI_BASE_URL")


def build_environment(
    parent: Mapping[str, str], extra: Mapping[str, str], *, profile: str | None, overrides: Sequence[str]
) -> dict[str, str]:
    """Pick from the parent's environment what the client needs; `extra` is added as it is and wins.

    Args:
        parent: where allowed variables are taken from.
        extra: variables that the caller wants the client to have.
        profile: the client's `-p`, whose file may name another provider.
        overrides: the client's `-c KEY=VALUE` settings, which may do so as well.
    """
    known = {**parent, **extra}
    wanted = (*_OWN_VARIABLES, *_key_variables(_configuration(known, profile, overrides)))
    return pick(parent, wanted, extra)


def configured_model(environment: Mapping[str, str], profile: str | None, overrides: Sequence[str]) -> str:
    """The model that the client's configuration names; empty when it names none."""
    return str(_configuration(environment, profile, overrides).get("model") or "")


def own_provider(environment: Mapping[str, str], profile: str | None, overrides: Sequence[str]) -> bool:
    """Whether the client talks to its maker's service, whose list prices are known."""
    configuration = _configuration(environment, profile, overrides)
    known = str(configuration.get("model_provider")) not in configuration["model_providers"]
    return known and "OPENAI_BASE_URL" not in environment


def billing_of(environment: Mapping[str, str]) -> str:
    """ "api", "subscription", or "" when it cannot be told: by the keys and by how the client is logged in."""
    if environment.get("CODEX_API_KEY"):
        return "api"
    try:
        login = json.loads((_home(environment) / "auth.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        login = {}
    if isinstance(login, dict) and login.get("tokens"):
        return "subscription"
    by_key = environment.get("OPENAI_API_KEY") or (isinstance(login, dict) and login.get("OPENAI_API_KEY"))
    return "api" if by_key else ""


def _home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("CODEX_HOME") or Path(environment.get("HOME", "/")) / ".codex")


def _key_variables(configuration: Mapping[str, Any]) -> Iterator[str]:
    """Names of the variables that hold the credentials of the chosen provider."""
    table = configuration["model_providers"].get(str(configuration.get("model_provider")))
    if not isinstance(table, dict):
        yield from _OWN_PROVIDER_KEYS
        return
    headers = table.get("env_http_headers")
    for name in (table.get("env_key"), *(headers.values() if isinstance(headers, dict) else ())):
        if isinstance(name, str):
            yield name


def _configuration(
    environment: Mapping[str, str], profile: str | None, overrides: Sequence[str]
) -> dict[str, Any]:
    """The client's configuration as far as it can be read; what is broken the client itself will report."""
    home = _home(environment)
    names = ["config.toml", *([f"{profile}.config.toml"] if profile else [])]
    layers = [_read_toml(home / name) for name in names] + [_read_override(text) for text in overrides]
    merged: dict[str, Any] = {"model_providers": {}}
    for layer in layers:
        _merge(merged, layer)
    return merged


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _read_override(text: str) -> dict[str, Any]:
    """`KEY=VALUE`; a value that is not TOML is a plain string, as in the client."""
    key, _, value = text.partition("=")
    for candidate in (text, f"{key}='''{value}'''"):
        try:
            return tomllib.loads(candidate)
        except ValueError:
            continue
    return {}


def _merge(into: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        elif not isinstance(into.get(key), dict):
            into[key] = value
