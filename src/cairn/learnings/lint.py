"""What is wrong with a learnings file, as findings; the file itself is never touched.

Each kind of finding was seen in real files: copies after a merge, one number for two lessons, failures filed under
successes, a heading overwritten so that its fields hang under the entry before it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from cairn.learnings.archive import linked_ids
from cairn.learnings.doubt import evidence_findings
from cairn.learnings.finding import Finding, Key
from cairn.learnings.identity import EntryId, mentions
from cairn.learnings.model import Document, Entry

# A complete set of fields says "this is a whole entry"; two of them under one heading are two entries.
_SETS = (
    {"symptom", "root cause", "fix"},
    {"optimization", "impact", "why it works"},
    {"what", "why"},
)


# code -> what it means, as `cairn learnings lint --help` prints it
CODES = {
    "duplicate-id": "the same id and title more than once",
    "reused-number": "one number for two lessons (another suffix or another title)",
    "wrong-section": "the id's type is not that of the section",
    "two-entries": "two complete sets of fields under one heading; a heading was lost",
    "dangling-reference": "an id is mentioned that no entry has",
    "no-first-seen": "no First seen field",
    "unknown-id": "an id that is not prefix and number, or two ids in one heading",
    "open-fence": "a code fence never closes and hides what is below it",
    "contradiction": "two active entries advise the opposite on one subject and do not name each other",
    "never-unproven": "NEVER (or never, in a fix or rule) without the confidence `reproduced`",
    "retracted-evidence": "an active entry rests on a retracted entry or on evidence declared untrusted",
    "bad-status": "a Status that is none, or that names no entry",
    "too-large": "the file is larger than its limit; `cairn learnings archive` mends that",
}


def lint(document: Document, archive: Document | None = None, max_bytes: int | None = None) -> tuple[Finding, ...]:
    """All findings, in the order of their lines; `archive`: entries that left the file and may be mentioned."""
    known = _known(document, archive)
    found = [*_numbers(document), *_references(document, known), *_fences(document), *_size(document, max_bytes)]
    for entry in document.entries:
        found += _of_entry(entry)
    found += evidence_findings(document, archive, known)
    found += _in_both(document, archive) if archive else ()
    return tuple(sorted(found, key=lambda finding: (finding.line, finding.code)))


def _numbers(document: Document) -> Iterator[Finding]:
    families: dict[tuple[str, int], list[tuple[EntryId, Entry]]] = defaultdict(list)
    for entry in document.entries:
        for name in entry.ids:
            if name.number is not None:
                families[name.prefix, name.number].append((name, entry))
    for family in families.values():
        first_id, first = family[0]
        for name, entry in family[1:]:
            same = name.key == first_id.key and _plain(entry.title) == _plain(first.title)
            identical = _plain(entry.text) == _plain(first.text)
            code = "duplicate-id" if same else "reused-number"
            what = "word for word the same" if identical else "the same title" if same else f"`{first.title}`"
            message = f"{entry.id} is at line {first.span.first} already, as {first.id}: {what}"
            yield Finding(code, entry.span.first, (entry.id, first.id), message)


def _in_both(document: Document, archive: Document) -> Iterator[Finding]:
    """Entries whose number an archived one has: left behind by a kill, or handed out again by hand."""
    archived = {name.key: entry for entry in archive.entries for name in entry.ids}
    for entry in document.entries:
        for name in entry.ids:
            if other := archived.get(name.key):
                same = _plain(entry.title) == _plain(other.title)
                message = f"{entry.id} is in the archive already" + ("" if same else f": `{other.title}`")
                code = "duplicate-id" if same else "reused-number"
                yield Finding(code, entry.span.first, (entry.id, other.id), message)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _of_entry(entry: Entry) -> Iterator[Finding]:
    def finding(code: str, message: str) -> Finding:
        return Finding(code, entry.span.first, (entry.id,), message)

    section = entry.section
    if section and section.kind and section.kind not in {name.kind for name in entry.ids}:
        yield finding("wrong-section", f"a {entry.kind} under `{section.title}`")
    labels = Counter(field.key for field in entry.fields)
    if sum(min(labels[label] for label in labels_of_set) for labels_of_set in _SETS) > 1:
        yield finding("two-entries", "two complete sets of fields; was a heading overwritten?")
    if entry.first_seen is None:
        yield finding("no-first-seen", "no First seen field")
    if not entry.heading.usual:
        what = "two ids in one heading" if len(entry.ids) > 1 else "not prefix and number"
        yield finding("unknown-id", f"`{entry.id}`: {what}")


def _known(document: Document, archive: Document | None) -> set[Key]:
    """Keys of all ids that may be mentioned."""
    entries = (*document.entries, *(archive.entries if archive else ()))
    return {name.key for entry in entries for name in entry.ids} | {name.key for name in linked_ids(document)}


def _size(document: Document, max_bytes: int | None) -> Iterator[Finding]:
    size = document.markdown.offsets[-1]
    if max_bytes is not None and size > max_bytes:
        message = f"{size} bytes, more than {max_bytes}; `cairn learnings archive` mends that"
        yield Finding("too-large", 1, (), message)


def _references(document: Document, known: set[Key]) -> Iterator[Finding]:
    """Mentions of ids that no entry has; `SO5-based` is read as a mention of SO5."""
    code = document.code_lines
    for entry in document.entries:
        own_lines = document.markdown.lines[entry.span.first : entry.span.last]
        seen: set[Key] = set()
        for line, text in enumerate(own_lines, start=entry.span.first + 1):
            for name in mentions(text) if line - 1 not in code else ():
                is_known = name.key in known or (name.prefix, name.number, "") in known
                if is_known or name.key in seen or name.looks_like_type:
                    continue
                seen.add(name.key)
                message = f"{entry.id} mentions {name.raw}; no such entry"
                yield Finding("dangling-reference", line, (entry.id,), message)


def _fences(document: Document) -> Iterator[Finding]:
    line = document.markdown.open_fence
    if line is not None:
        yield Finding("open-fence", line + 1, (), "this code fence never closes and hides what is below it")
