"""PLAN.json: what the assistant decided about a round, checked against the facts before anything is written.

Every variant must be decided; nothing may cite a result that the gate does not trust; a law needs two results. The
helpers add what they know better: evidence, scope, dates and numbers.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cairn.errors import BadInput
from cairn.learnings.edit import Edit, NewEntry, add
from cairn.learnings.evidence import CONFIDENCES, EVIDENCE
from cairn.learnings.identity import KINDS, SUCCESS, EntryId
from cairn.learnings.incoming import EntryKeys, day
from cairn.learnings.parse import parse
from cairn.learnings.revise import Extension, extend
from cairn.rounds.digest import Digest, Fact
from cairn.rounds.trust import TRUSTED, UNPROVEN
from cairn.text.table import figure

SCHEMA = 1
_HYPOTHESIS, _ONCE, _REPRODUCED = CONFIDENCES


class AddKeys(EntryKeys, forbid_unknown_fields=True, kw_only=True):
    """A new entry and the variants that showed it."""

    variants: list[str]


class ExtendKeys(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a round adds to an entry that is there."""

    id: str
    text: str
    variants: list[str]
    fields: dict[str, str] = {}


class PlanKeys(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The plan as JSON. `skip` is variant to reason, `notes` is variant to a few words for the comment."""

    schema: int = SCHEMA
    run: str
    round: int
    kernel: str | None = None
    date: str | None = None
    add: list[AddKeys] = []
    extend: list[ExtendKeys] = []
    skip: dict[str, str] = {}
    notes: dict[str, str] = {}
    issue: int | None = None
    repo: str | None = None


@dataclass(frozen=True)
class Plan:
    """A plan that was read. `sha`: of its bytes, so that a repeat is known; `run` is resolved."""

    path: Path
    keys: PlanKeys
    sha: str
    run: Path


def read_plan(path: Path) -> Plan:
    """Read a plan; `run` is relative to the working directory, or else to the plan's folder.

    Raises:
        BadInput: it is not there, not JSON, or has another form or schema.
    """
    if not path.is_file():
        raise BadInput("not there", path=path, hint="write the plan first; see `cairn round record --help`")
    data = path.read_bytes()
    try:
        keys = msgspec.json.decode(data, type=PlanKeys)
    except msgspec.DecodeError as error:
        raise BadInput(str(error), path=path, hint="see `cairn round record --help`") from error
    if keys.schema != SCHEMA:
        raise BadInput(f"schema {keys.schema} is not known", path=path, key="schema", hint=f"write {SCHEMA}")
    run = Path(keys.run)
    if not run.is_dir() and (path.parent / run).is_dir():
        run = path.parent / run
    return Plan(path, keys, hashlib.sha256(data).hexdigest(), run)


def check_plan(plan: Plan, digest: Digest, *, accept_unproven: bool) -> None:
    """Compare a plan with the facts.

    Raises:
        BadInput: a variant is unknown, undecided or decided twice; a result may not be cited; a claim is too strong.
    """
    keys = plan.keys
    cited = [(name, f"add[{at}]") for at, each in enumerate(keys.add) for name in each.variants]
    cited += [(name, f"extend[{at}]") for at, each in enumerate(keys.extend) for name in each.variants]
    known = {fact.variant.name for fact in digest.facts}
    for name, key in [*cited, *((name, "skip") for name in keys.skip), *((name, "notes") for name in keys.notes)]:
        if name not in known:
            raise BadInput(
                f"round {keys.round} has no variant `{name}`",
                path=plan.path,
                key=key,
                hint=f"known: {sorted(known)}",
            )
    decided = {name for name, _ in cited}
    if both := decided & keys.skip.keys():
        raise BadInput(f"`{min(both)}` is skipped and cited", path=plan.path, key="skip")
    if missing := known - decided - keys.skip.keys():
        hint = "cite them in add or extend, or give a reason in skip"
        raise BadInput(f"not decided: {', '.join(sorted(missing))}", path=plan.path, hint=hint)
    if empty := [name for name, reason in keys.skip.items() if not reason.strip()]:
        raise BadInput(f"no reason to skip `{empty[0]}`", path=plan.path, key="skip")
    for at, each in enumerate(keys.add):
        _check_entry(plan, digest, each, f"add[{at}]", accept_unproven=accept_unproven)
    for at, more in enumerate(keys.extend):
        _facts(plan, digest, more.variants, f"extend[{at}]", accept_unproven=accept_unproven)


def _check_entry(plan: Plan, digest: Digest, each: AddKeys, key: str, *, accept_unproven: bool) -> None:
    if each.type not in KINDS:
        raise BadInput(f"`{each.type}` is neither failure nor success", path=plan.path, key=f"{key}.type")
    facts = _facts(plan, digest, each.variants, key, accept_unproven=accept_unproven)
    if each.type == SUCCESS and all(fact.variant.speedup is None for fact in facts):
        raise BadInput("a success that no successful variant showed", path=plan.path, key=f"{key}.variants")
    distinct = {fact.variant.hash for fact in facts} | set(each.evidence)
    if each.confidence == _REPRODUCED and len(distinct) < 2:
        hint = f"cite a second result or receipt in evidence, or write `{_ONCE}`"
        raise BadInput("one result reproduces nothing", path=plan.path, key=f"{key}.confidence", hint=hint)
    if each.confidence not in (None, _HYPOTHESIS) and any(_unproven(fact) for fact in facts):
        hint = f"write `{_HYPOTHESIS}`, or leave it out"
        raise BadInput("the result is not proven", path=plan.path, key=f"{key}.confidence", hint=hint)


def _facts(plan: Plan, digest: Digest, names: Sequence[str], key: str, *, accept_unproven: bool) -> list[Fact]:
    """The facts about some variants, if all of them may teach something."""
    facts = [fact for name in names if (fact := digest.fact(name))]
    if not facts:
        raise BadInput("names no variant", path=plan.path, key=f"{key}.variants")
    for fact in facts:
        measured = fact.variant.speedup is not None
        if not fact.trust.may_teach(measured=measured, accept_unproven=accept_unproven):
            hint = "skip it; what is not trusted teaches nothing"
            if fact.trust.level == UNPROVEN:
                hint = "skip it, or let the user decide for --accept-unproven"
            codes = ", ".join(fact.trust.codes)
            raise BadInput(
                f"`{fact.variant.name}` is {fact.trust.level.upper()} ({codes})",
                path=plan.path,
                key=key,
                hint=hint,
            )
    return facts


def _unproven(fact: Fact) -> bool:
    return fact.trust.level == UNPROVEN and fact.variant.speedup is not None


def apply_plan(text: str, plan: Plan, digest: Digest, elsewhere: Sequence[EntryId]) -> Edit:
    """The learnings file with everything the plan decided: first the extensions, then the new entries.

    Raises:
        UsageError, Missing: an entry is incomplete or there already, or an id to extend is not there.
    """
    after = text
    extended: list[str] = []
    date = day(plan.keys.date)
    for more in plan.keys.extend:
        facts = [fact for name in more.variants if (fact := digest.fact(name))]
        fields = [*more.fields.items(), (EVIDENCE, "; ".join(_cites(facts, digest)))]
        extension = Extension(more.id, date, _context(digest, more.variants), more.text, tuple(fields))
        edit = extend(after, extension)
        after = edit.after
        extended += edit.ids
    entries = [_entry(plan, digest, each) for each in plan.keys.add]
    if not entries:
        return Edit(text, after, tuple(extended))
    added = add(after, entries, elsewhere)
    return Edit(text, added.after, (*extended, *added.ids), added.sections)


def _entry(plan: Plan, digest: Digest, each: AddKeys) -> NewEntry:
    facts = [fact for name in each.variants if (fact := digest.fact(name))]
    likely = _HYPOTHESIS if any(_unproven(fact) for fact in facts) else _ONCE
    each.date = each.date or plan.keys.date
    made_with = [set(fact.variant.made_with.items()) for fact in facts]
    each.scope = {**dict(set.intersection(*made_with)), **each.scope}
    return each.entry(
        kernel=plan.keys.kernel or digest.kernel, cites=tuple(_cites(facts, digest)), confidence=likely
    )


def _cites(facts: Sequence[Fact], digest: Digest) -> list[str]:
    """`result 9c1b22aa4f01 (round 4, fused, 1.310x)` for each result."""
    found = []
    for fact in facts:
        words = [f"round {digest.round.number}", fact.variant.name, figure(fact.variant.speedup, "x")]
        if fact.trust.level != TRUSTED:
            words.append(f"{fact.trust.level}: {', '.join(fact.trust.codes[:3])}")
        inside = ", ".join(word for word in words if word != "--")
        found.append(f"result {fact.variant.hash} ({inside})")
    return found


def _context(digest: Digest, names: Sequence[str]) -> str:
    return f"{digest.kernel} round {digest.round.number}, {', '.join(names)}"


def written_blocks(before: str, after: str, ids: Sequence[str]) -> list[str]:
    """What an edit put into the file, piece by piece: to recognise it after a kill, whoever wrote meanwhile."""
    known = {entry.id: entry.text.rstrip() for entry in parse(before).entries}
    blocks = []
    for entry in parse(after).entries:
        if entry.id in ids:
            blocks.append(entry.text.rstrip().removeprefix(known.get(entry.id, "")).strip("\r\n"))
    return blocks


def notable(plan: Plan) -> dict[str, str]:
    """A few words about each variant: the plan's own, else why it was skipped or what it taught."""
    words = {name: f"extends {more.id}" for more in plan.keys.extend for name in more.variants}
    words |= {name: each.title for each in plan.keys.add for name in each.variants}
    return {**words, **plan.keys.skip, **plan.keys.notes}


def learned(plan: Plan, ids: Sequence[str]) -> list[str]:
    """The ids as the comment shows them: new ones first, then those that were extended."""
    extended = len(plan.keys.extend)
    return [*(f"[{name}]" for name in ids[extended:]), *(f"[{name}] (extended)" for name in ids[:extended])]
