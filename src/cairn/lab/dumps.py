"""What the TPU compiler left on disk for one program: scheduled HLO and the final bundles of every kernel in it.

The dump directory belongs to one compile service; it is emptied before a compile, read after it and emptied
again. The file names and texts are not a contract of libtpu: a file that does not have the expected name is
ignored, and a dump over the size bound is marked `truncated`, which makes the cost model refuse.

A program that was lowered with source locations carries them on its operations, as comments. They are taken out of
the texts and kept beside them, so that the bundles read the same with and without.
"""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Two labels instead of every stage: 5-10 ms a compile instead of 80.
DUMP_FLAGS = (
    "--xla_jf_dump_to={directory} "
    "--xla_jf_dump_llo_pass_label_regex=(final_bundles|final_hlo-static-per-bundle-utilization)"
)
LOCATION_FLAG = "--xla_mosaic_enable_llo_source_annotations=true"
MAX_DUMP_BYTES = 96 * 1024 * 1024
_LOCATED_GROWTH = 4  # locations may make the raw text of a file that much longer
_FILE = re.compile(
    r"^\d+-(?P<name>.+?)-(?:\d\d-)?"
    r"(?P<kind>final_bundles\.txt|final_hlo-static-per-bundle-utilization\.txt|hlo\.txt|vmem_report\.html)$"
)
_BUNDLES, _HLO, _VMEM = "final_bundles.txt", "hlo.txt", "vmem_report.html"
_VMEM_DATA = re.compile(r"const DATA *= *(?=\{)")
_CUSTOM_CALL = re.compile(r"^\s*(?:ROOT )?%(?P<name>\S+) = .*custom_call_target=\"tpu_custom_call\"", re.MULTILINE)
_NOT_KERNELS = ("<late-initialization>", "<late-finalization>")
_LOCATION_COMMENT = re.compile(
    r" /\* (loc\((?:(?!\*/).)*?\))(?: :: ((?:(?!\*/).)*?))? \*/"
)  # and what else it says
_PLACE = re.compile(r"""["'](?P<file>[^"']{1,512})["']:(?P<line>\d+)""")
_ADDRESS = re.compile(r"^ *(?:0x[0-9a-f]+|0) +[A-Z, ]*: *", re.MULTILINE)
_WAITS = re.compile(r"= (?:dma\.done|vwait|swait)")
_TAKES = re.compile(r"= vpop\.\S*(?:mrf|mrb)")
OTHER, WAITS, TAKES = 0, 1, 2  # roles of a located operation: waits for a copy or flag, takes a matrix result


@dataclass(frozen=True)
class Sources:
    """Where the operations of a program come from.

    Attributes:
        places: `file:line`, each once.
        bundles: by address, the located operations as (index into `places`, role).
    """

    places: tuple[str, ...] = ()
    bundles: tuple[tuple[tuple[int, int], ...], ...] = ()


@dataclass(frozen=True)
class Dump:
    """Texts by HLO instruction name.

    Attributes:
        hlo: the scheduled module, or "" when none was written.
        bundles: final bundles of each instruction that has a program of its own; `TLP` is the top-level program.
        truncated: files were left out because the dump exceeded the size bound.
        vmem: the compiler's account of vector memory by instruction, JSON; "" when it wrote none.
        utilisation: the compiler's table of unit slots used in each bundle, by the same names.
        sources: source locations by the same names, of what was lowered with them.
    """

    hlo: str = ""
    bundles: Mapping[str, str] = field(default_factory=dict)
    truncated: bool = False
    vmem: str = ""
    utilisation: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, Sources] = field(default_factory=dict)


def read(directory: Path, max_bytes: int = MAX_DUMP_BYTES) -> Dump:
    """Read the dump of the one program compiled since the directory was emptied."""
    reader = _Reader(max_bytes)
    for path in sorted(directory.iterdir()):
        match = _FILE.match(path.name)
        if match is not None and match["name"] not in _NOT_KERNELS:
            reader.add(path, match["name"], match["kind"])
    return Dump(reader.hlo, reader.bundles, reader.truncated, reader.vmem, reader.utilisation, reader.sources)


class _Reader:
    """Collects the files of one dump until the bound is reached."""

    def __init__(self, max_bytes: int) -> None:
        self._left_bytes = max_bytes
        self.hlo = self.vmem = ""
        self.truncated = False
        self.bundles: dict[str, str] = {}
        self.utilisation: dict[str, str] = {}
        self.sources: dict[str, Sources] = {}

    def add(self, path: Path, name: str, kind: str) -> None:
        if path.stat().st_size > _LOCATED_GROWTH * self._left_bytes:
            self.truncated = True
            return
        text = path.read_text(encoding="utf-8", errors="replace")
        sources = None
        if kind == _BUNDLES and " /* loc(" in text:
            text, sources = split_locations(text)
        self._left_bytes -= len(text)
        if self._left_bytes < 0:
            self.truncated = True
        elif kind == _HLO:
            self.hlo = text if name == "TLP" else self.hlo
        elif kind == _VMEM:
            self.vmem = _vmem_data(text)
        elif kind == _BUNDLES:
            self.bundles[name] = text
            if sources is not None:
                self.sources[name] = sources
        else:
            self.utilisation[name] = text


def _vmem_data(page: str) -> str:
    """The data inside the page that shows them; "" when the page looks otherwise."""
    start = _VMEM_DATA.search(page)
    if start is None:
        return ""
    try:
        _, end = json.JSONDecoder().raw_decode(page, start.end())
    except ValueError:
        return ""
    return page[start.end() : end]


def _without_location(match: re.Match[str]) -> str:
    return f" /* {match[2]} */" if match[2] else ""


def split_locations(text: str) -> tuple[str, Sources]:
    """The bundles without their location comments, and the locations by bundle."""
    places: dict[str, int] = {}
    found: list[tuple[tuple[int, int], ...]] = []
    heads = [match.end() for match in _ADDRESS.finditer(text)]
    for start, end in zip(heads, [*heads[1:], len(text)], strict=True):
        body = text[start:end]
        located = []
        for piece in body.split(";;") if "/* loc(" in body else ():
            place = _place(piece)
            if place is not None:
                located.append((places.setdefault(place, len(places)), _role(piece)))
        found.append(tuple(located))
    return _LOCATION_COMMENT.sub(_without_location, text), Sources(tuple(places), tuple(found))


def _place(piece: str) -> str | None:
    """`file:line` of an operation; of nested call sites the innermost, which stands first."""
    comment = _LOCATION_COMMENT.search(piece)
    match = _PLACE.search(comment[1]) if comment else None
    return f"{match['file']}:{match['line']}" if match else None


def _role(piece: str) -> int:
    if _WAITS.search(piece):
        return WAITS
    return TAKES if _TAKES.search(piece) else OTHER


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
