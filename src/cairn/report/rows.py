"""The rows a report is made of: the whole of what a page, a picture or a mail may know about a run.

They are also the JSON that a page carries for other tools, so a change here is a change of a published format:
raise `SCHEMA`. Fields that hold their default are left out of the JSON. Costs are microseconds of one call at the
headline shape; `kind` says how they came about, and rows of different kinds are never put on one axis.
"""

from typing import Literal

import msgspec

from cairn.report.receipt_rows import Receipt

SCHEMA = 1
Kind = Literal["predicted", "measured", "reported"]
RunState = Literal["empty", "running", "stopped", "ended"]


class Utterance(msgspec.Struct, frozen=True, omit_defaults=True):
    """One piece of an agent's transcript.

    Attributes:
        role: who or what: message, reasoning, command, file, error, prompt, text.
        text: what was said; shortened when long.
    """

    role: str
    text: str


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """One try.

    Attributes:
        id: unique in the run.
        parent: id of the attempt it was built on; empty for the start.
        round: batch it was judged in.
        lineage: line of descent.
        agent: who edited.
        model: model of the agent.
        phase: how far it got: planned, edited, judging, judged, decided, abandoned.
        hypothesis: what it tried, in the agent's words.
        expected_effect: what the agent expected.
        idea_class: kind of idea.
        evidence: what the agent based it on.
        tunables: declared settings after the edit.
        verdict: KEEP, DISCARD, INCONCLUSIVE, INVALID or CRASH; empty when nothing was judged.
        reason: reason code of the verdict.
        failure: class of the agent's failure.
        detail: one line about either.
        decision: what became of it.
        commit: the kept commit.
        kind: how `us` came about.
        us: cost at the headline shape, microseconds.
        low_us: lower end of its interval.
        high_us: upper end of its interval.
        ratio: cost over the incumbent's, over all bench shapes.
        speedup: gain over the reference that another tool reported; only where no cost is known.
        started: ISO 8601.
        ended: ISO 8601.
        agent_s: seconds of editing.
        judge_s: seconds of judging.
        input_tokens: tokens read, cached ones included.
        cached_input_tokens: of these, from a cache.
        output_tokens: tokens written.
        cost_usd: money, as the client reported or the price list says.
        diff: the change, unified.
        diff_left_out: characters of it that are not shown.
        transcript: what the agent said and did.
        transcript_left_out: characters of it that are not shown.
        transcript_path: where the whole of it lies, relative to the run.
        receipt: what the judge wrote.
    """

    id: str
    parent: str = ""
    round: int | None = None
    lineage: str = ""
    agent: str = ""
    model: str = ""
    phase: str = ""
    hypothesis: str = ""
    expected_effect: str = ""
    idea_class: str = ""
    evidence: str = ""
    tunables: dict[str, str] = {}
    verdict: str = ""
    reason: str = ""
    failure: str = ""
    detail: str = ""
    decision: str = ""
    commit: str = ""
    kind: Kind = "predicted"
    us: float | None = None
    low_us: float | None = None
    high_us: float | None = None
    ratio: float | None = None
    speedup: float | None = None
    started: str = ""
    ended: str = ""
    agent_s: float | None = None
    judge_s: float | None = None
    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    diff: str = ""
    diff_left_out: int = 0
    transcript: list[Utterance] = []
    transcript_left_out: int = 0
    transcript_path: str = ""
    receipt: Receipt | None = None


class Anchor(msgspec.Struct, frozen=True, omit_defaults=True):
    """A fixed point that claims are made against.

    Attributes:
        label: baseline, start or champion.
        name: variant or attempt.
        us: cost at the headline shape.
        low_us: lower end of its interval.
        high_us: upper end of its interval.
        kind: how `us` came about.
        receipt: id of the receipt it comes from.
        commit: the commit it stands for.
    """

    label: Literal["baseline", "start", "champion"]
    name: str
    us: float | None = None
    low_us: float | None = None
    high_us: float | None = None
    kind: Kind = "predicted"
    receipt: str = ""
    commit: str = ""


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where attempts were judged.

    Attributes:
        name: such as ray:0.
        judged: attempts.
        busy_s: seconds that these took.
        lost: judgements that the place could not finish.
    """

    name: str
    judged: int = 0
    busy_s: float = 0.0
    lost: int = 0


class Confirmation(msgspec.Struct, frozen=True, omit_defaults=True):
    """The champion judged once more, against the original baseline and with fresh seeds: the claim of a run.

    Attributes:
        receipt: id of its receipt.
        kind: how its costs came about.
        verdict: what the judge said.
        reason: reason code.
        us: cost of the champion at the headline shape.
        baseline_us: cost of the baseline in the same judgement.
        ratio: champion over baseline, over all bench shapes.
        ratio_low: lower end of its interval, when it was measured.
        ratio_high: upper end of its interval, when it was measured.
        margin: relative gain that counts as real.
        commit: the champion it is about, when the ledger says so.
    """

    receipt: str
    kind: Kind = "predicted"
    verdict: str = ""
    reason: str = ""
    us: float | None = None
    baseline_us: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    margin: float | None = None
    commit: str = ""


class Learning(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry of AGENT.md that belongs to this run.

    Attributes:
        id: such as F012.
        title: its headline.
        status: how well it is proven.
        gained: whether this run wrote it; otherwise it was known and applies.
    """

    id: str
    title: str
    status: str = ""
    gained: bool = False


class Limit(msgspec.Struct, frozen=True, omit_defaults=True):
    """One budget.

    Attributes:
        name: attempts, wall clock, money, tokens.
        used: how much is gone.
        limit: how much there is; absent when there is no limit.
        unit: s, USD, tokens or empty.
    """

    name: str
    used: float
    limit: float | None = None
    unit: str = ""


class Alert(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something a reader must know before trusting the rest.

    Attributes:
        level: note or warning.
        text: one line.
    """

    level: Literal["note", "warning"]
    text: str


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run: a climb, a batch round, or single judgements.

    Attributes:
        name: the run's name.
        source: what it was read from: climb, rounds or judgements.
        problem: what is computed.
        variant: the variant that is edited.
        target: chip and how cost is obtained on it.
        shape: the headline shape, as text.
        kind: how its costs came about.
        state: empty, running, stopped (neither running nor ended) or ended.
        reason: why it ended.
        phase: what it does at this moment, when it is running.
        started: ISO 8601.
        updated: time of the last act in the ledger.
        launches: how often it was started.
        branch: the branch of its champion.
        base: the commit it began at.
        target_us: the floor to aim at, at the headline shape.
        physics_us: what physics forbids to go below, at the headline shape.
        bound_by: what sets the floor to aim at.
        margins: relative gains that count as real, by the kind of change.
        anchors: baseline, start and champion.
        confirmation: the champion against the original baseline, when the judge has confirmed it.
        attempts: every try, in order.
        learnings: entries of AGENT.md that were gained or apply.
        budget: what was used.
        calibration: A/A figures of the run, by name.
        least_effect: relative gain that would be seen in four of five full measurements.
        environment: versions and machine, by name.
        environments: how many different environments the run has seen.
        places: where attempts were judged.
        occupancy: share of the places' time in which judgements came to their end.
        ideas: what to try next.
        alerts: what to know before trusting the rest.
        files: where the ledger and receipts lie.
    """

    name: str
    source: Literal["climb", "rounds", "judgements"] = "climb"
    problem: str = ""
    variant: str = ""
    target: str = ""
    shape: str = ""
    kind: Kind = "predicted"
    state: RunState = "empty"
    reason: str = ""
    phase: str = ""
    started: str = ""
    updated: str = ""
    launches: int = 0
    branch: str = ""
    base: str = ""
    target_us: float | None = None
    physics_us: float | None = None
    bound_by: str = ""
    margins: dict[str, float] = {}
    anchors: list[Anchor] = []
    confirmation: Confirmation | None = None
    attempts: list[Attempt] = []
    learnings: list[Learning] = []
    budget: list[Limit] = []
    calibration: dict[str, float | str] = {}
    least_effect: float | None = None
    environment: dict[str, str] = {}
    environments: int = 1
    places: list[Place] = []
    occupancy: float | None = None
    ideas: list[str] = []
    alerts: list[Alert] = []
    files: dict[str, str] = {}

    @property
    def one_axis(self) -> bool:
        """Whether its costs may stand beside each other: judgements of several problems or targets may not."""
        return self.source != "judgements" or not ("," in self.problem or "," in self.target)

    def anchor(self, label: str) -> Anchor | None:
        """One of the fixed points, when the run has come that far."""
        return next((each for each in self.anchors if each.label == label), None)


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a page carries as JSON.

    Attributes:
        schema: version of this format.
        page: what the page shows: run, compare or gallery.
        cairn: version that wrote it.
        written: when, ISO 8601.
        runs: one, two or many.
    """

    schema: int
    page: Literal["run", "compare", "gallery"]
    cairn: str
    written: str
    runs: list[Run]
