"""Throw-away homes for Claude Code, the Gemini CLI and opencode: models scripted, no byte can leave the machine."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from scripted.chat import ChatDialect
from scripted.dialect import Dialect
from scripted.generate_content import GenerateContentDialect
from scripted.messages import MessagesDialect

_BIN = Path(__file__).parents[2] / ".clients" / "node_modules" / ".bin"
_DEAD_PROXY = "http://127.0.0.1:9"  # the discard port: nothing listens there

DIALECTS: dict[str, type[Dialect]] = {
    "claude": MessagesDialect,
    "gemini": GenerateContentDialect,
    "opencode": ChatDialect,
}


def find_client(name: str) -> str | None:
    """The real client: $CAIRN_TEST_<NAME>, then .clients/ of this checkout, then PATH."""
    named = os.environ.get(f"CAIRN_TEST_{name.upper()}")
    return shutil.which(named) if named else shutil.which(_BIN / name) or shutil.which(name)


def client_environment(name: str, home: Path, url: str) -> dict[str, str]:
    """Variables for whoever starts the client: its only service is the scripted server at `url`."""
    home.mkdir(parents=True, exist_ok=True)
    proxies = {
        spelt: _DEAD_PROXY for key in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for spelt in (key, key.lower())
    }
    found = find_client(name)
    path = os.pathsep.join([*([str(Path(found).parent)] if found else []), os.environ["PATH"]])
    common = {"PATH": path, "HOME": str(home), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **proxies}
    return {**common, **_OWN[name](home, url)}


def _claude(home: Path, url: str) -> Mapping[str, str]:
    retries = {"CLAUDE_CODE_MAX_RETRIES": "0"}
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "dummy",
        "CLAUDE_CONFIG_DIR": str(home / "c"),
        **retries,
    }


def _gemini(home: Path, url: str) -> Mapping[str, str]:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "general": {"disableAutoUpdate": True},
        "privacy": {"usageStatisticsEnabled": False},
    }
    folder = home / ".gemini"
    folder.mkdir(exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings))
    return {"GOOGLE_GEMINI_BASE_URL": url, "GEMINI_API_KEY": "dummy"}


def _opencode(home: Path, url: str) -> Mapping[str, str]:
    options = {"baseURL": f"{url}/v1", "apiKey": "dummy"}
    provider = {"npm": "@ai-sdk/openai-compatible", "name": "Scripted", "options": options, "models": {"m1": {}}}
    return {"OPENCODE_CONFIG_CONTENT": json.dumps({"autoupdate": False, "provider": {"scripted": provider}})}


_OWN = {"claude": _claude, "gemini": _gemini, "opencode": _opencode}
