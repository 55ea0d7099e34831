"""Which variables the Codex client gets: an allow-list, and the keys of the provider it is configured for.

Whatever the client has, the shell of its model has too, unless a policy of the client takes it away again. So a
token that some other program left in the parent's environment must not get in here in the first place.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_ALLOWED = {
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR"),
    *("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ"),
    *("CODEX_HOME", "CODEX_CA_CERTIFICATE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *_PROXIES,
    *(name.lower() for name in _PROXIES),
}
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
    wanted = _ALLOWED | set(_key_variables(_configuration(known, profile, overrides)))
    return {**{name: parent[name] for name in wanted if name in parent}, **extra}


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
    home = environment.get("CODEX_HOME") or str(Path(environment.get("HOME", "/")) / ".codex")
    names = ["config.toml", *([f"{profile}.config.toml"] if profile else [])]
    layers = [_read_toml(Path(home) / name) for name in names] + [_read_override(text) for text in overrides]
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
