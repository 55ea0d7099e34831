"""What a project says about its devices, tests and jobs: `gdnctl.toml` beside `gdnctl.py`, all of it optional."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from cairn.errors import BadInput
from cairn.settings import did_you_mean

# set for post-checks, which run in a checkout of their own: the folder of the run that they belong to
LOG_VARIABLE = "CAIRN_GDN_LOG_DIR"
PLACES = ("scripts/gdn/gdnctl.toml", "gdnctl.toml")
_DEV_TPU = "dev_tpu.py --config infra/marin-{place}.yaml --tpu-name {name}"


class Allocator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a device is held. `kind`: `command` (a program that stays) or `ray` (an actor with `resources`).

    `most_minutes`: for how long in one launch; 0 is no limit.
    """

    kind: str = "command"
    allocate: str = f"{_DEV_TPU} allocate --tpu-type {{type}}"
    ready: str = r"(?i)\bready\b|\ballocated\b|\bactive\b"
    heartbeat: str = ""
    release: str = ""
    resources: dict[str, float] = {}
    addresses: dict[str, str] = {}
    most_minutes: float = 0.0

    @property
    def most_s(self) -> float:
        return self.most_minutes * 60 or float("inf")


class Remote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a command reaches a held device: `execute` runs the words that follow it there; `copy` brings a file."""

    execute: str = f"{_DEV_TPU} execute --"
    execute_no_sync: str = f"{_DEV_TPU} execute --no-sync --"
    copy: str = "scp -q {file} dev-tpu-{name}:{remote}"


class Tests(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The test slices, as shell command lines for the device.

    `least_passed` and `most_skipped` (-1: any number) hold for each slice that pytest runs: tests that were skipped
    because something was not installed there are no proof.
    """

    kernels: str = "python -m pytest -v tests/kernels/test_gdn.py"
    layer: str = ""
    least_passed: int = 0
    most_skipped: int = -1


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The profiled run, a shell command line whose knobs come as GDN_PROFILE_* variables; the XPlane comparison."""

    command: str = ""
    compare: str = ""


class Ray(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Addresses of Ray dashboards by cluster; a cluster without one is taken for an address itself."""

    addresses: dict[str, str] = {}


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    problem: str = "kernels/gdn"
    allocator: Allocator = Allocator()
    remote: Remote = Remote()
    tests: Tests = Tests()
    profile: Profile = Profile()
    ray: Ray = Ray()


def find_root(start: Path) -> Path:
    """The project: the nearest folder upwards with a registry or a repository."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / "registry.json").is_file() or (folder / ".git").exists():
            return folder
    return start


def load_config(root: Path) -> Config:
    """Read `CAIRN_GDNCTL_CONFIG`, else the first of `PLACES` in the project, else the defaults.

    Raises:
        BadInput: it cannot be read, or a key or a type is wrong.
    """
    named = os.environ.get("CAIRN_GDNCTL_CONFIG")
    places = [Path(named)] if named else [root / place for place in PLACES]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        if named:
            raise BadInput("no such file", path=named, hint="CAIRN_GDNCTL_CONFIG names the configuration")
        return Config()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(data, Config)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"not valid TOML: {error}", path=path) from error
    except msgspec.ValidationError as error:
        raise BadInput(str(error), path=path, hint=_hint(str(error))) from error


def _hint(message: str) -> str | None:
    word = message.partition("unknown field `")[2].partition("`")[0]
    known = [
        field for struct in (Config, Allocator, Remote, Tests, Profile, Ray) for field in struct.__struct_fields__
    ]
    return did_you_mean(word, known) if word else None


def chosen_tests(tests: Tests, which: str) -> Mapping[str, str]:
    """The command lines of `kernels`, `layer` or `both` by name; a slice without a command is left out."""
    names = ("kernels", "layer") if which == "both" else (which,)
    return {name: command for name in names if (command := getattr(tests, name))}
