"""A throw-away home for the real Codex client: its model is scripted, and no byte can leave the machine."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_KEY = "SCRIPTED_KEY"
_DEAD_PROXY = "http://127.0.0.1:9"  # the discard port: nothing listens there
_CONFIG = """\
model = "{model}"
model_provider = "scripted"
check_for_update_on_startup = false

[analytics]
enabled = false

[features]
plugins = false

[model_providers.scripted]
name = "Scripted"
base_url = "http://127.0.0.1:{port}/v1"
wire_api = "responses"
env_key = "{key}"
request_max_retries = {retries}
stream_max_retries = {retries}
stream_idle_timeout_ms = {stream_idle_ms}
"""


@dataclass(frozen=True)
class CodexHome:
    """Where a client of the scripted server lives.

    Attributes:
        home: the private HOME; CODEX_HOME is `.codex` inside it.
        environment: variables for whoever starts the client; its PATH finds the client as `codex`.
    """

    home: Path
    environment: Mapping[str, str]

    @property
    def codex_home(self) -> Path:
        return self.home / ".codex"

    @property
    def config(self) -> Path:
        return self.codex_home / "config.toml"

    def add_config(self, text: str) -> None:
        """Append tables to config.toml."""
        with self.config.open("a") as file:
            file.write(f"\n{text}\n")


def write_codex_home(
    home: Path, port: int, *, model: str = "gpt-5.5", retries: int = 0, stream_idle_ms: int = 60_000
) -> CodexHome:
    """Make a home whose only model provider is the scripted server on `port`."""
    codex_home = home / ".codex"
    codex_home.mkdir(parents=True)
    text = _CONFIG.format(model=model, port=port, key=_KEY, retries=retries, stream_idle_ms=stream_idle_ms)
    (codex_home / "config.toml").write_text(text)
    proxies = {name: _DEAD_PROXY for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")}
    lower = {name.lower(): value for name, value in proxies.items()}
    environment = {
        "PATH": os.pathsep.join([*_codex_folder(), os.environ["PATH"]]),
        "HOME": str(home),
        "CODEX_HOME": str(codex_home),
        _KEY: "dummy",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        **proxies,
        **lower,
    }
    return CodexHome(home, environment)


def find_codex() -> str | None:
    """The real client: $CAIRN_TEST_CODEX, then .clients/ of this checkout, then PATH."""
    named = os.environ.get("CAIRN_TEST_CODEX")
    checkout = Path(__file__).parents[2] / ".clients" / "node_modules" / ".bin" / "codex"
    return shutil.which(named) if named else shutil.which(checkout) or shutil.which("codex")


def _codex_folder() -> list[str]:
    found = find_codex()
    return [str(Path(found).parent)] if found else []
