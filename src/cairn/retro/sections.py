"""Which of the parts of a retrospective a heading or label stands for, in the words that real reports use."""

import functools
import re

SETUP, PARAMETERS, RESULTS = "setup", "parameters", "results"
TRIED, WORKED, FINDING, FAILED, QUESTION, NEXT = "tried", "worked", "finding", "failed", "question", "next"

_WORDS: tuple[tuple[str, str], ...] = (
    (
        FAILED,
        r"what (?:has |have )?(?:failed|did(?:n.?t| not) work|went wrong|hurt)|failures?(?: modes?| analysis| cases?"
        r"| (?:&|and) .*)?|failed(?: (?:attempts?|experiments?|variants?|approaches|runs?))?.*|did(?:n.?t| not) work"
        r"|negative results?|known (?:issues?|regressions?)|regressions?|problems?(?: encountered)?|issues?(?: found"
        r"| encountered)?|errors?|pitfalls|dead ends?|anti-?patterns?|what not to (?:try|do)|discarded|rejected"
        r"|limitations?",
    ),
    (
        QUESTION,
        r"(?:open|remaining|unresolved|unanswered|outstanding) (?:questions?|issues?|problems?)|questions?|unknowns?",
    ),
    (
        NEXT,
        r"next(?: steps?| experiments?)?|future work|todo|to-do"
        r"|follow[- ]?ups?|action items|plan|recommendations?(?: .*)?"
        r"|recommended (?:practice|next steps?)|what to try next",
    ),
    (
        WORKED,
        r"what (?:has )?(?:worked|helped|went well)(?: .*)?|successes"
        r"|success(?:ful)?(?: (?:optimizations|approaches|runs?))?"
        r"|wins?|improvements?|kept|accepted",
    ),
    (
        FINDING,
        r"(?:key |main |critical |important |major )?(?:findings?|insights?|takeaways?|learnings?|lessons?(?: learned)?"
        r"|observations?|conclusions?|results? summary|outcomes?|discoveries|corrections?)(?: .*)?"
        r"|analysis|interpretation"
        r"|discussion|verdict|decisions?|summary|tl;?dr|practical takeaways?|root causes?",
    ),
    (
        TRIED,
        r"what (?:we|was|i|were) (?:tried|tested|implemented|did|done|changed)|(?:runs?|experiments?|changes|attempts?"
        r"|variants?|approach(?:es)?|method(?:ology|s)?|implementation|procedure|objective|goals?|hypothes[ie]s"
        r"|research questions?|motivation|background|overview)(?: .*)?",
    ),
    (
        PARAMETERS,
        r"(?:hyper-?)?param(?:eter)?s?|(?:key |run |training |model |kernel |lora "
        r"|quanti[sz]ation )?(?:config(?:uration)?s?"
        r"|settings?|arguments|args|flags|options)|key parameters",
    ),
    (
        SETUP,
        r"(?:experimental |test |benchmark |common )?set-?up|environment|hardware|software|models?|data(?:sets?)?"
        r"|infrastructure|device|system|requirements|prerequisites",
    ),
    (
        RESULTS,
        r"(?:.* )?(?:results?|metrics|benchmarks?|performance|evaluation|comparison|leaderboard|scores?|measurements?"
        r"|timings?|throughput|numbers|ablations?|statistics|final timed runs?)(?: .*)?",
    ),
)
_PATTERNS = tuple((part, re.compile(words, re.I)) for part, words in _WORDS)
_DECORATION = re.compile(r"^[\W\d_]+|[\W_]+$")
_MARKED = re.compile(r"[*`\[\\&]")
_MARKUP = re.compile(r"[*`]|\[([^\[\]]*)\]\([^()]{0,500}\)")
_LONGEST = 5000


@functools.lru_cache(maxsize=8192)
def part_of(heading: str) -> str:
    """The part that a heading stands for; empty when it names something of its own, such as a run."""
    text = _DECORATION.sub("", _MARKUP.sub(r"\1", heading)).strip()
    if not text or len(text) > 80:
        return ""
    return next((part for part, pattern in _PATTERNS if pattern.fullmatch(text)), "")


def plain_text(markup: str) -> str:
    """A heading, label or cell without emphasis, code marks, links and decoration."""
    markup = markup[:_LONGEST]
    if not _MARKED.search(markup):
        return " ".join(markup.split()).strip(" :_-–—#>")
    text = _MARKUP.sub(lambda match: match[1] or "", markup).replace("\\|", "|").replace("&nbsp;", " ")
    return " ".join(text.split()).strip(" :_-–—#>")
