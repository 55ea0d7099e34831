"""What the TPU compiler left on disk for one program: scheduled HLO and the final bundles of every kernel in it.

The dump directory belongs to one compile service; it is emptied before a compile, read after it and emptied
again. The file names and texts are not a contract of libtpu: a file that does not have the expected name is
ignored, and a dump over the size bound is marked `truncated`, which makes the cost model refuse.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# One label instead of every stage: 5-10 ms a compile instead of 80.
DUMP_FLAGS = "--xla_jf_dump_to={directory} --xla_jf_dump_llo_pass_label_regex=final_bundles"
MAX_DUMP_BYTES = 96 * 1024 * 1024
_FILE = re.compile(r"^\d+-(?P<name>.+?)-(?P<rest>\d\d-final_bundles|hlo)\.txt$")
_CUSTOM_CALL = re.compile(r"^\s*(?:ROOT )?%(?P<name>\S+) = .*custom_call_target=\"tpu_custom_call\"", re.MULTILINE)
_NOT_KERNELS = ("<late-initialization>", "<late-finalization>")


@dataclass(frozen=True)
class Dump:
    """Texts by HLO instruction name.

    Attributes:
        hlo: the scheduled module, or "" when none was written.
        bundles: final bundles of each instruction that has a program of its own; `TLP` is the top-level program.
        truncated: files were left out because the dump exceeded the size bound.
    """

    hlo: str = ""
    bundles: Mapping[str, str] = field(default_factory=dict)
    truncated: bool = False


def read(directory: Path, max_bytes: int = MAX_DUMP_BYTES) -> Dump:
    """Read the dump of the one program compiled since the directory was emptied."""
    hlo, truncated, left_bytes = "", False, max_bytes
    bundles: dict[str, str] = {}
    for path in sorted(directory.iterdir()):
        match = _FILE.match(path.name)
        if match is None or match["name"] in _NOT_KERNELS:
            continue
        left_bytes -= path.stat().st_size
        if left_bytes < 0:
            truncated = True
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if match["rest"] == "hlo":
            hlo = text if match["name"] == "TLP" else hlo
        else:
            bundles[match["name"]] = text
    return Dump(hlo, bundles, truncated)


def custom_calls(hlo: str) -> list[str]:
    """Names of the instructions that call a Pallas kernel, in the order of the text."""
    return [match["name"] for match in _CUSTOM_CALL.finditer(hlo)]


def empty(directory: Path) -> None:
    """Remove everything in the directory, keep the directory."""
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
