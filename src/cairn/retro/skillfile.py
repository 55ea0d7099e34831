"""Result skills as files: read tolerantly, written so that every host and validator accepts them.

Hosts agree on little: one quoted line of description without angle brackets, values below `metadata` as quoted strings,
the name equal to the folder's, and none of the reserved words. Secrets and paths of this machine are taken out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from cairn.retro.ingest.text import decode
from cairn.text.redact import Redaction, redact

SECTIONS = ("General Description", "When to Apply", "Results Summary", "Recommended Practice", "Failure Modes",
            "Configuration", "References")  # fmt: skip
REQUIRED = ("General Description", "When to Apply", "Results Summary", "Recommended Practice", "Failure Modes")
NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
LONGEST_NAME, LONGEST_DESCRIPTION, LONGEST_BODY = 64, 480, 480
_FRONT = re.compile(r"\ufeff?---[ \t]*\r?\n(.*?\r?\n)---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_KEYS = ("name", "description", "license", "allowed-tools", "metadata")
_TEMPORARY = re.compile(
    r"(?<![\w.~])/(?:tmp|var/tmp|private/tmp|scratch|mnt|data|workspace|content|kaggle)(?=/)(?:/[\w.+@-]+)+"
)


@dataclass(frozen=True)
class Skill:
    """A skill as it is on disk. `fault`: why its front matter could not be read."""

    name: str
    folder: str
    path: str
    description: str
    metadata: Mapping[str, str]
    body: str
    text: str
    fault: str | None = None

    @property
    def status(self) -> str:
        return self.metadata.get("status", "active")

    @property
    def is_result(self) -> bool:
        """Whether it holds findings, not a procedure of a pack."""
        return bool(
            re.search(
                r"(?mi)^#+\s+(?:results? summary|failure modes?|experimental evidence|when to apply)", self.body
            )
        )


def read_skill(path: Path, root: Path) -> Skill:
    """One SKILL.md; what cannot be parsed is a fault, not an error."""
    text = decode(path.read_bytes())[0]
    match = _FRONT.match(text)
    body = text[match.end() :] if match else text
    data, fault = _front(match[1]) if match else ({}, "no front matter")
    metadata = data.get("metadata")
    flat = {str(key): _flat(value) for key, value in metadata.items()} if isinstance(metadata, dict) else {}
    description = " ".join(str(data.get("description") or _first_sentence(body)).split())
    name = str(data.get("name") or path.parent.name)
    relative = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    return Skill(name, path.parent.name, relative, description, flat, body, text, fault)


def _front(block: str) -> tuple[dict[str, object], str | None]:
    try:
        data = yaml.safe_load(block)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return {}, f"front matter is not YAML: {getattr(error, 'problem', None) or error}"
    return (data, None) if isinstance(data, dict) else ({}, "front matter is no map")


def _flat(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _first_sentence(body: str) -> str:
    lines = [line.strip() for line in body.splitlines()]
    text = next((line for line in lines if line and not line.startswith(("#", "-", "*", "|", "<"))), "")
    return text[:LONGEST_DESCRIPTION]


def skill_folders(root: Path) -> list[Path]:
    """Where this project's result skills go: `.codex/skills` when it is there, else the two that reach all hosts."""
    codex = root / ".codex" / "skills"
    return [codex] if codex.is_dir() else [root / ".agents" / "skills", root / ".claude" / "skills"]


def read_skills(root: Path) -> list[Skill]:
    """All skills of a project, each once, wherever they lie."""
    found: dict[Path, Skill] = {}
    for place in (".codex/skills", ".agents/skills", ".claude/skills"):
        for path in sorted((root / place).glob("*/SKILL.md")):
            real = path.resolve()
            if path.is_file() and real.is_relative_to(root.resolve()) and real not in found:
                skill = read_skill(path, root)
                if skill.folder not in {each.folder for each in found.values()}:
                    found[real] = skill
    return list(found.values())


def one_line(text: str, longest: int = LONGEST_DESCRIPTION) -> str:
    """A description that may stand in double quotes: one line, no angle brackets, quotes or backslashes."""
    line = " ".join(text.split()).replace("<", "").replace(">", "").replace('"', "'").replace("\\", "/")
    return line if len(line) <= longest else line[: longest - 1].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"


def render(name: str, description: str, metadata: Mapping[str, str], body: str) -> str:
    """A whole SKILL.md in the form that everybody accepts."""
    lines = ["---", f"name: {name}", f'description: "{one_line(description)}"']
    if metadata:
        lines.append("metadata:")
        lines += [f'  {key}: "{one_line(value, 300)}"' for key, value in metadata.items() if value]
    return "\n".join([*lines, "---", "", body.strip("\n").replace("\t", "    "), ""])


def scrub(text: str, root: Path) -> tuple[str, list[Redaction]]:
    """The text without secrets, home folders and other paths of this machine; the project's own become relative."""
    text = text.replace(f"{root.resolve()}/", "").replace(str(root.resolve()), ".")
    text, found = redact(text)
    for match in _TEMPORARY.finditer(text):
        found.append(Redaction("path", text.count("\n", 0, match.start()) + 1))
    return _TEMPORARY.sub("[path]", text), found


def faults_of(text: str, folder: str) -> list[str]:
    """What a host or a validator would refuse or misread in a SKILL.md."""
    match = _FRONT.match(text)
    if not match or text.startswith("\ufeff"):
        return ["no front matter at the very beginning"]
    data, fault = _front(match[1])
    if fault:
        return [fault]
    faults = [f"unknown key `{key}`" for key in data if key not in (*_KEYS, "compatibility")]
    name, description = str(data.get("name") or ""), str(data.get("description") or "")
    if name != folder:
        faults.append(f"name `{name}` is not that of its folder `{folder}`")
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME or re.search("claude|anthropic", name):
        faults.append(
            f"name `{name}` is not lower-case letters, digits and single hyphens, at most {LONGEST_NAME}"
        )
    if not description.strip():
        faults.append("no description")
    elif len(description) > 1024 or re.search("[<>]", description):
        faults.append("description is too long or has angle brackets")
    return faults + _form_faults(data.get("metadata"), match[1], text)


def _form_faults(metadata: object, block: str, text: str) -> list[str]:
    faults = []
    if re.search(r"(?m)^description:\s*[>|]", block):
        faults.append("description is a folded block, which one host shows empty")
    if metadata is not None and (
        not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values())
    ):
        faults.append("metadata is not a map of quoted strings")
    if "\t" in block:
        faults.append("tab in the front matter")
    if text.count("\n") > LONGEST_BODY:
        faults.append(f"more than {LONGEST_BODY} lines")
    return faults


def missing_sections(body: str) -> list[str]:
    """Sections of the template that a body does not have, in either of its two forms."""
    headings = {
        re.sub(r"[^a-z ]", "", heading.casefold()).strip()
        for heading in re.findall(r"(?m)^#{2,3}\s+(.+?)\s*$", body)
    }
    return [section for section in REQUIRED if section.casefold() not in headings]


def overlaps(name: str, description: str, skills: Sequence[Skill]) -> list[tuple[Skill, float, str]]:
    """Existing result skills that may hold the same subject, nearest first, with what they share."""
    from rapidfuzz import fuzz  # 30 ms to import, and only this needs it

    found = []
    for skill in skills:
        if skill.folder == name:
            continue
        names = float(fuzz.token_sort_ratio(name.replace("-", " "), skill.folder.replace("-", " ")))
        texts = (
            float(fuzz.token_set_ratio(description.casefold(), skill.description.casefold()))
            if description and skill.description
            else 0.0
        )
        shared = sorted(set(name.split("-")) & set(skill.folder.split("-")))
        score = max(0.55 * names + 0.45 * texts, 0.95 * names, 0.9 * texts if shared else 0.0)
        if score >= 68:
            found.append((skill, round(score, 1), ", ".join(shared)))
    return sorted(found, key=lambda each: -each[1])


def slug(words: str) -> str:
    """A skill name out of words: lower-case, hyphens, at most 64 characters."""
    text = re.sub(r"[^a-z0-9]+", "-", words.casefold()).strip("-")
    return text[:LONGEST_NAME].strip("-")
