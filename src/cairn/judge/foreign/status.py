"""What another tool's result really was: its three statuses, told apart by the text of the error.

pallas-evolve files every exception of the first call as INCORRECT with `max_diff` 0.0, and every time-out, crash
and lost log line as COMPILE_ERROR. A lesson drawn from the status alone is about the wrong thing.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from cairn.judge.foreign.reader import number

STATUSES = (
    "OK",
    "WRONG_OUTPUT",
    "NON_FINITE",
    "TRACE_ERROR",
    "COMPILE_ERROR",
    "VMEM_OOM",
    "RUNTIME_ERROR",
    "TIMEOUT",
    "INFRA",
    "UNTRUSTED",
    "CHEAT",
)
_ENUM = {0: "COMPILE_ERROR", 1: "INCORRECT", 2: "SUCCESS"}
_FILED_AS = {"SUCCESS": "OK", "INCORRECT": "WRONG_OUTPUT"}

# First match wins. What a process says about its surroundings comes before what it says about the kernel.
_BY_TEXT: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("TIMEOUT", re.compile(r"\A\s*Subprocess timeout|\bDEADLINE_EXCEEDED\b|\bTimeoutExpired\b")),
    ("INFRA", re.compile(r"\A\s*No EVAL_RESULT|No space left on device|\bEvicted\b|ephemeral.storage", re.I)),
    ("NON_FINITE", re.compile(r"\A\s*Correctness failed\b.*\bmax_diff\s*=\s*[-+]?(?:nan|inf)", re.I | re.S)),
    ("WRONG_OUTPUT", re.compile(r"\A\s*Correctness failed\b")),
    ("VMEM_OOM", re.compile(r"memory space vmem|\bvmem\b[^\n]{0,120}(?:exceed|exhaust|out of memory)", re.I)),
    ("VMEM_OOM", re.compile(r"(?:exceed|exhaust|ran out of)[^\n]{0,120}\bvmem\b", re.I)),
    (
        "COMPILE_ERROR",
        re.compile(r"\A\s*Compilation error|Mosaic failed to compile|\bMosaicError\b|Check failed:"),
    ),
    ("COMPILE_ERROR", re.compile(r"\bbackend_compile|\bcompile_and_load\b")),
    ("TRACE_ERROR", re.compile(r"\A\s*(?:Could not find \w+|No compute function found)")),
    ("RUNTIME_ERROR", re.compile(r"\A\s*Benchmark error|^(?:\w+\.)*(?:XlaRuntimeError|JaxRuntimeError)\b", re.M)),
    ("TRACE_ERROR", re.compile(r"Traceback \(most recent call last\)")),
)
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Interrupt)\b.*$", re.M)
_DECISIVE = re.compile(r"^.*(?:Mosaic failed to compile|Check failed:).*$", re.M)


def filed_status(result: Mapping[str, Any]) -> str | None:
    """The status as the tool filed it: its word, or the word that its enumeration number stands for."""
    status = result.get("status")
    if isinstance(status, str):
        word = status.rpartition(".")[2].strip().upper()
        return _ENUM.get(int(word), word) if word.isascii() and word.isdigit() and len(word) == 1 else word or None
    value = number(status)
    return _ENUM.get(int(value)) if value is not None and value in _ENUM else None


def classify_result(result: Mapping[str, Any]) -> str:
    """One of `STATUSES` for a result in pallas-evolve's form; `UNTRUSTED` and `CHEAT` are never guessed."""
    filed = filed_status(result)
    if filed in STATUSES and filed != "COMPILE_ERROR":
        return filed
    max_diff = number(result.get("max_diff"))
    broken_difference = max_diff is not None and not math.isfinite(max_diff)
    if filed == "SUCCESS":
        return "NON_FINITE" if broken_difference else "OK"
    by_text = _class_of_error(result.get("error"))
    if by_text not in (None, "WRONG_OUTPUT"):
        return str(by_text)
    if broken_difference:
        return "NON_FINITE"
    return by_text or _without_text(filed, result)


def _without_text(filed: str | None, result: Mapping[str, Any]) -> str:
    if filed == "COMPILE_ERROR":
        return filed
    if filed in _FILED_AS:
        return _FILED_AS[filed]
    return "OK" if filed is None and number(result.get("latency_ms")) is not None else "INFRA"


def is_misfiled(result: Mapping[str, Any]) -> bool:
    """True when the tool's own status says something else than the rest of its record."""
    filed = filed_status(result)
    return filed is not None and _FILED_AS.get(filed, filed) != classify_result(result)


def decisive_line(result: Mapping[str, Any]) -> str | None:
    """The line of an error that a person would quote: the compiler's, else the last exception, else the first."""
    error = result.get("error")
    if not isinstance(error, str) or not error.strip():
        return None
    if match := _DECISIVE.search(error):
        return match[0].strip()[:300]
    raised = _EXCEPTION.findall(error)
    return str(raised[-1] if raised else error.strip().splitlines()[0])[:300]


def _class_of_error(error: Any) -> str | None:
    if not isinstance(error, str) or not error.strip():
        return None
    return next((status for status, pattern in _BY_TEXT if pattern.search(error)), None)
