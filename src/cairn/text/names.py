"""Digits that are no quantity: dates, versions, hashes, addresses, files, models of hardware, numbers of tables.

Each rule has words or characters that must be in a line before its pattern is tried, because most lines hold none of
them and fifty patterns on every line would take minutes where a second is enough.
"""

import functools
import re

from cairn.text.alternatives import one_of

_FILE = (
    r"(?:py|pyi|md|markdown|txt|rst|json|jsonl|ya?ml|toml|csv|tsv|sh|cu|cuh|cpp|cc|c|h|hpp|rs|go|js|ts|html?|png|jpe?g"
    r"|svg|gif|pdf|log|pt|pth|bin|safetensors|gguf|onnx|pb|ipynb|parquet|npz?|db|zip|gz|tar|whl|hatchet|ncu-rep|qdrep"
    r"|wandb|cfg|ini|lock|sql)"
)
_ENVIRONMENT = [
    "pytorch",
    "python",
    "cuda",
    "cudnn",
    "driver",
    "ubuntu",
    "debian",
    "centos",
    "linux",
    "gcc",
    "g++",
    "clang",
    "llvm",
    "rocm",
    "nccl",
    "transformers",
    "tensorflow",
    "keras",
    "numpy",
    "scipy",
    "pandas",
    "trl",
    "peft",
    "xformers",
    "bitsandbytes",
    "deepspeed",
    "accelerate",
    "node",
    "nodejs",
    "npm",
    "rust",
    "macos",
    "windows",
    "mlflow",
    "wandb",
    "trackio",
    "ncu",
    "nvcc",
    "cmake",
    "docker",
    "datasets",
    "tokenizers",
    "lightning",
    "version",
    "release",
    "libtpu",
    "jaxlib",
    "optax",
    "flax",
    "cutlass",
    "opencl",
    "vulkan",
    "ptx",
    "apache",
    "tensorboard",
    "optuna",
    "hydra",
    "ray",
    "kubernetes",
    "slurm",
]
_TIMED_TOO = [
    "torch",
    "jax",
    "triton",
    "vllm",
    "sglang",
    "unsloth",
    "cublas",
    "mosaic",
    "flash-attn",
    "flashattention",
    "hip",
    "kernel",
    "go",
]
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]{0,6}\.?"
_VENUES = [
    "iclr",
    "icml",
    "neurips",
    "nips",
    "acl",
    "emnlp",
    "naacl",
    "cvpr",
    "eccv",
    "iccv",
    "mlsys",
    "aaai",
    "interspeech",
    "osdi",
    "asplos",
]
_CARDS = [
    "rtx",
    "gtx",
    "geforce",
    "tesla",
    "quadro",
    "titan",
    "radeon",
    "xeon",
    "epyc",
    "ryzen",
    "instinct",
    "arc",
    "jetson",
]
_MODELS = [
    "llama",
    "qwen",
    "gemma",
    "mistral",
    "gpt",
    "phi",
    "claude",
    "gemini",
    "deepseek",
    "falcon",
    "olmo",
    "smollm",
]
_NUMBERED = [
    "run",
    "table",
    "tab.",
    "figure",
    "fig.",
    "eq.",
    "section",
    "sec.",
    "§",
    "phase",
    "part",
    "chapter",
    "appendix",
    "experiment",
    "exp",
    "goal",
    "exercise",
    "module",
    "option",
    "case",
    "milestone",
    "tier",
    "round",
    "attempt",
    "trial",
    "variant",
    "item",
    "question",
    "finding",
    "hypothesis",
    "approach",
    "lesson",
    "note",
    "priority",
    "week",
    "day",
    "sprint",
    "ticket",
    "gpu",
    "cpu",
    "node",
    "device",
    "worker",
    "shard",
    "replica",
    "layer",
    "expert",
    "bucket",
    "page",
    "slide",
    "stage",
    "footnote",
    "receipt",
    "signal",
    "exit code",
    "status code",
    "http",
    "compute capability",
]
_YEAR = ("19", "20")
_WORDS = one_of(_NUMBERED)
_AFTER_NAME = r"(?![\d.]*\s?(?:%|[x×]\b|(?:[kKMGT]i?)?[Bb]\b|[mun]?s\b|[A-Z]?FLOP|tok|it/s))"

_RULES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("<!--",), r"<!--.*?(?:-->|$)"),
    (("<",), r"</?[a-z][^<>]{0,400}>"),
    (("://",), r"\b[a-z][a-z0-9+.-]{1,12}://[^\s<>\"'`)\]|]+"),
    (("](",), r"\]\([^)\s]{1,400}(?:\s+\"[^\"]*\")?\)"),
    (("arxiv",), r"\barxiv:?\s*\d{4}\.\d{4,5}(?:v\d+)?"),
    (("10.",), r"\b10\.\d{4,9}/\S+"),
    (("@",), r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    (("[",), r"\[\^?\d{1,3}\](?=\s*(?:[.,;:)]|$|\[))(?<![=:,] \[\d\])(?<![=:,] \[\d\d\])"),
    ((".",), r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?(?![\w.])"),
    (
        _YEAR,
        r"(?<![\w.])(?:19|20)\d{2}[-/._](?:0?[1-9]|1[0-2])[-/._](?:0?[1-9]|[12]\d|3[01])(?!\d)"
        r"(?:[T _-]?\d{1,2}[:.h-]?\d{2}(?:[:.]?\d{2}(?:[.,]\d+)?)?\s?(?:Z|UTC|[+-]\d{2}:?\d{2})?(?!\w))?",
    ),
    (_YEAR, r"(?<![\w.])\d{1,2}[./]\d{1,2}[./](?:19|20)\d{2}(?!\d)"),
    (_YEAR, r"(?<![\w.])20[0-4]\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[T_-]?\d{4,6})?(?!\w|[.,]\d)"),
    (_YEAR, r"(?<![\w.])(?:19|20)\d{2}-(?:0[1-9]|1[0-2])(?![\w.-])"),
    (_YEAR, r"(?:\bet al\.?,?|©|\(c\)|\bsince|\bin|\()\s*(?:19[89]\d|20[0-3]\d)(?=[\s),.;]|$)"),
    (tuple(_VENUES), rf"\b(?:{one_of(_VENUES)})[' -]*(?:19|20)?\d{{2}}\b"),
    (_MONTHS, rf"\b{_MONTH} +\d{{1,2}}(?:st|nd|rd|th)?(?:,? +(?:19|20)\d{{2}})?\b(?!\.\d)"),
    (_MONTHS, rf"\b(?:\d{{1,2}} ?[-–] ?)?\d{{1,2}}(?:st|nd|rd|th)? +{_MONTH}(?:,? +(?:19|20)\d{{2}})?\b"),
    (_MONTHS, rf"\b{_MONTH} +(?:19|20)\d{{2}}\b"),
    (("v",), r"(?<![\w.])v\d+(?:\.\d+)*(?:[-+.]?(?:rc|a|b|dev|post|alpha|beta)\d*)*\b"),
    ((".",), r"(?<![\w.,])\d+\.\d+\.\d+(?:[-+.]?\w+)*"),
    (("rc", "dev", "post"), r"(?<![\w.])\d+\.\d+(?:rc|dev|post)\d+\b"),
    (
        tuple(_ENVIRONMENT),
        rf"(?<![\w-])(?:{one_of(_ENVIRONMENT)})[\s:=>~`*|-]{{1,4}}(?:version "
        rf"|v)?\d{{1,3}}(?:\.\d+)*\w*(?![\w.]){_AFTER_NAME}",
    ),
    (
        tuple(_TIMED_TOO),
        rf"(?<![\w-])(?:{one_of(_TIMED_TOO)})(?: |==|>=|~="
        rf"| v)\d{{1,2}}\.\d{{1,2}}(?![\w.]){_AFTER_NAME}",
    ),
    (("==", ">=", "<=", "~=", "^"), r"(?<=\w)(?:[=<>~]=|\^)\d+(?:\.\d+)+(?=[\s,;)\]\"'`]|$)"),
    (
        ("/",),
        r"(?<![\w/])(?!\d[\d.,]*[a-zµ]+/[a-z]+\b(?!/))(?:~|\.{1,2})?/?(?=[^\s|`]{0,200}?[a-z_]{2,}[^\s|`]{0,200}?/|/)"
        r"(?:[\w.@+{}*=-]*[a-z_{*][\w.@+{}*=-]*/)+[\w.@+{}*-]*",
    ),
    (("/",), r"(?<![\w/)])/(?:[\w.@+-]+/)+[\w.@+-]*"),
    ((".",), rf"(?<![\w\0.-])[\w\0.-]*[\w\0-]\.{_FILE}\b(?::\d+(?:[:-]\d+)?)?"),
    (("0x",), r"\b0x[0-9a-f]+\b"),
    (("-",), r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"),
    (
        ("#", "pr ", "issue", "job", "pid", "port", "line", "id"),
        r"(?:(?<!\w)#|\bpr ?#?|\bissues? ?#?|\bjob ?(?:id)?[ #:=`]{1,4}|\bp?id[ :=`]{1,3}|\bport[ :=`]{1,3}"
        r"|\blines? )\d+(?:-\d+)?\b",
    ),
    (
        tuple(each.strip(".") for each in _NUMBERED),
        rf"(?<![\w.-])(?:(?:{_WORDS})s?[ _-]?#?|(?:{_WORDS}) ?\()\d{{1,3}}(?:\.\d+)*[a-z]?(?=[\s:.,;)\]/*`|–—-]"
        rf"|$)(?!\.\d)(?!,\d){_AFTER_NAME}",
    ),
    (
        tuple(_MODELS),
        rf"\b{one_of(_MODELS)}[ -]?\d{{1,3}}(?:\.\d+)?(?:[ -]\d{{1,3}}(?:\.\d+)?[bm]\b)?(?![\w.%]|\s?[x×]\b)",
    ),
    (
        tuple(_CARDS),
        rf"\b(?:{one_of(_CARDS)})[ -]?(?:[a-z]{{1,3}}[ -]?)?\d{{2,5}}\w*(?:\s?(?:ti|super|xtx?|ada))?\b",
    ),
    (
        ("x", "×"),
        r"(?<![\w.])\d+(?:\.\d+)?\s?[x×]\s?\d+(?:\s?[x×]\s?\d+)*(?![\w.%])(?!\s?\^)"
        r"(?! (?:[kKMGT]i?B|bytes|[munµ]?s)\b)",
    ),  # 128x128 is a shape, 2 x 512 KB is not
    (("(",), r"\.\w+\(\s*-?\d+(?:\s*,\s*-?\d+)*\s*\)|(?<!\w)O\([^()\n]*(?:\([^()]*\)[^()]*)?\)"),
    (
        ("step", "rank"),
        r"\bsteps? \d{1,3}(?:\s?\+\s?\d{1,3})+|(?<=\()step \d{1,3}(?=\))|\bstep \d{1,3}(?=:)|\brank 0\b|\(rank \d+\)",
    ),
    (("[",), r"(?<![\w=:\[(,])(?<![=:,] )\[\d{1,3}\](?![\w(])"),
    (("iso", "rfc", "ieee", "pep", "c++"), r"\b(?:iso|rfc|ieee|pep)[ -]?\d+(?:[-:]\d+)*|\bc\+\+\d\d\b"),
    (
        ("(", "["),
        r"\b(?:block|shape|grid|tile|dim|size|array|tensor)s?\s?[=:]?\s?[\[(]\d+(?:,\s?\d+)+[\])]",
    ),
    (("/",), r"(?<![\w.])\d/(?=[a-z]\w*\()"),
    (("q",), r"\bq[1-4][ ']*(?:20)?\d\d\b"),
)
_COMPILED = tuple(re.compile(pattern, re.I) for _, pattern in _RULES)
_TRIGGERS = {word for words, _ in _RULES for word in words}
_TRIGGER = re.compile(f"(?=({one_of(_TRIGGERS)}))")  # at every place, because words overlap
_RULES_OF = {
    found: frozenset(at for at, (words, _) in enumerate(_RULES) if any(word in found for word in words))
    for found in _TRIGGERS
}
_HEX = re.compile(r"[0-9a-f]{7}")
_HASH = re.compile(r"\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)(?!\d+e\d+\b)[0-9a-f]{7,64}\b", re.I)
_HEADING = re.compile(r"\s*#{1,6}\s+(?:\*{1,2})?(?:[^\w\s]+\s*)?\d{1,3}(?:\.\d{1,3})*[.):]?\s+(?=\D)")
_ITEM = re.compile(r"[\s>]*(?:[-*+]\s+)?(?:\*\*)?\d{1,3}(?:\.\d{1,2})*[.)](?:\*\*)?\s")


def mask(line: str) -> str:
    """The line, of the same length, with a null character for every digit that belongs to a name."""
    return _short_mask(line) if len(line) < _SHORT else _mask(line)


def _mask(line: str) -> str:
    for pattern in (_HEADING, _ITEM):
        if match := pattern.match(line):
            line = blank(match) + line[match.end() :]
            break
    folded = line.casefold()
    for at in sorted(set().union(*map(_RULES_OF.__getitem__, set(_TRIGGER.findall(folded))))):
        line = _COMPILED[at].sub(blank, line)
    return _HASH.sub(blank, line) if _HEX.search(folded) else line


_SHORT = 64  # labels and cells of tables say the same again and again
_short_mask = functools.lru_cache(maxsize=16384)(_mask)


def blank(match: re.Match[str]) -> str:
    return "".join("\0" if each.isdigit() else each for each in match[0])
