"""Climbs on disk for the tests of reports: ledger, receipts, patches and transcripts as a climb leaves them."""

import json
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cairn.judge.receipt import receipt_hash

BASE = "b" * 40
BASELINE_US, START_US, FLOOR_US, PHYSICS_US = 13005.953005714286, 6131.726000000001, 223.35521300813008, 198.7
SHAPE = {"B": 8, "T": 4096, "H": 16}
CALIBRATION = {
    "threshold": 0.0123,
    "alpha": 0.05,
    "false_keep_bound": 0.0001,
    "least_detectable_effect": 0.0211,
    "noise": [{"shape": SHAPE, "process_log_ratios": [0.001, -0.002], "spread": 0.0015}],
}
_BEGAN = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
_VERDICTS = (
    ("DISCARD", "slower", 40),
    ("INCONCLUSIVE", "within_margin", 20),
    ("CRASH", "vmem_oom", 12),
    ("DISCARD", "wrong_output", 10),
    ("KEEP", "faster", 8),
    ("INVALID", "frozen_changed", 2),
    ("", "timeout", 5),
)


@dataclass
class ClimbOnDisk:
    """Writes a climb's folder, line by line. Times pass by whole seconds; nothing is random but for its seed."""

    folder: Path
    kind: str = "predicted"
    n: int = 0
    now: datetime = _BEGAN
    champion_us: float = START_US
    previous: str = "0" * 64
    parent: str = BASE
    receipts: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "ledger.jsonl").touch()
        (self.folder / "receipts.jsonl").touch()

    @property
    def name(self) -> str:
        return self.folder.name

    def event(self, name: str, /, **fields: Any) -> None:
        self.n += 1
        self.now += timedelta(seconds=1)
        time = self.now.isoformat(timespec="milliseconds")
        self._append("ledger.jsonl", {"n": self.n, "time": time, "event": name, **fields})

    def start(self, attempts: int = 6) -> None:
        settings = {
            "name": self.name,
            "problem": "kernels/gdn",
            "variant": "pallas_fwd",
            "target": "tpu-v5p" if self.kind == "predicted" else "tpu-v5p:device",
            "margins": {"sweep": 0.05, "edit": 0.1},
        }
        self.event("climb.started", base=BASE, branch=f"cairn/{self.name}", settings=settings)
        self.event("climb.launched", agent="tuner", attempts=attempts)

    def measure(self) -> None:
        receipt = self.receipt("start", "KEEP", "faster", START_US, BASELINE_US)
        cost = f"{self.kind}_us"
        start = {"variant": "pallas_fwd", cost: START_US, "receipt": receipt["id"]}
        self.event(
            "climb.measured",
            kind=self.kind,
            fingerprint={"cairn": "0.1.0", "jax": "0.10.2", "libtpu": "0.0.51"},
            baseline={"variant": "xla_chunked", cost: BASELINE_US},
            start=start,
            champion=start,
            floor_us=FLOOR_US,
            calibration=CALIBRATION if self.kind == "measured" else None,
        )

    def attempt(self, verdict: str, reason: str, us: float | None, **more: Any) -> str:
        """One attempt from plan to decision; `more`: hypothesis, diff, transcript (lines), usage, cost_usd."""
        name = f"a{sum(1 for _ in self._attempts()) + 1:04d}"
        folder = self.folder / "attempts" / name
        folder.mkdir(parents=True)
        (folder / "change.patch").write_text(more.get("diff", DIFF), encoding="utf-8", errors="surrogatepass")
        if "transcript" in more:
            (folder / "codex-events.jsonl").write_bytes(b"\n".join(more["transcript"]) + b"\n")
        self.event("attempt.planned", attempt=name, parent=self.parent, agent="tuner")
        failed = not verdict
        edited = {
            "status": "failed" if failed else "edited",
            "failure": reason if failed else "",
            "hypothesis": more.get("hypothesis", f"chunk {us or 0:.0f} is cheaper"),
            "blob": None if failed else "c" * 40,
            "tampered": [],
            "tunables": more.get("tunables", {"chunk": 64}),
            "usage": more.get("usage"),
            "cost_usd": more.get("cost_usd"),
            "detail": "",
        }
        self.event("attempt.edited", attempt=name, **edited)
        decision, commit = "failed", None
        if not failed:
            decision, commit = self._judge(name, verdict, reason, us)
        self.event("attempt.decided", attempt=name, decision=decision, commit=commit)
        return name

    def _judge(self, name: str, verdict: str, reason: str, us: float | None) -> tuple[str, str | None]:
        self.event("attempt.judging", attempt=name)
        self.now += timedelta(seconds=10)
        receipt = self.receipt(name, verdict, reason, us, self.champion_us)
        ratio = us / self.champion_us if us else None
        judged = {"receipt": receipt["id"], "verdict": verdict, "reason": reason, "detail": receipt["detail"]}
        self.event("attempt.judged", attempt=name, **judged, **{f"{self.kind}_us": us}, ratio=ratio)
        if verdict != "KEEP":
            return {"DISCARD": "discarded", "CRASH": "crashed", "INVALID": "rejected"}.get(
                verdict, "inconclusive"
            ), None
        assert us is not None
        commit = f"{int(name[1:]):x}".ljust(40, "e")
        self.champion_us, self.parent = us, commit
        return "kept", commit

    def receipt(
        self, attempt: str, verdict: str, reason: str, us: float | None, incumbent_us: float, **more: Any
    ) -> dict[str, Any]:
        receipt: dict[str, Any] = {
            "schema": 1,
            "id": f"r-{attempt}-{len(self.receipts):04d}",
            "time": self.now.isoformat(timespec="milliseconds"),
            "climb": self.name,
            "attempt": attempt,
            "problem": "gdn",
            "target": "tpu-v5p",
            "variant": {"name": "pallas_fwd", "sha256": "d" * 64, "config": {"chunk": "64"}},
            "verdict": verdict,
            "reason": reason,
            "class": "OK",
            "detail": f"{(us or 0) / incumbent_us:.3f} of the incumbent's {self.kind} cost, margin 5%",
            "cost": self._cost(us, incumbent_us),
            "correctness": list(_checks()),
            "stages": [{"stage": stage, "s": 1.25} for stage in ("frozen", "load", "live", "correct", "compile")],
            "fingerprint": {"jax": "0.10.2"},
            **more,
            "previous": self.previous,
        }
        receipt["hash"] = self.previous = receipt_hash(receipt)
        self._append("receipts.jsonl", receipt)
        self.receipts.append(receipt)
        return receipt

    def _cost(self, us: float | None, incumbent_us: float) -> dict[str, Any]:
        if self.kind == "measured":
            timings = [_timing(us, incumbent_us)] if us else []
            return {
                "kind": "measured",
                "timings": timings,
                "ratio": us / incumbent_us if us else None,
                "margin": 0.01,
            }
        shapes = [_shape(us)] if us else []
        incumbent = [{"shape": SHAPE, "predicted_us": incumbent_us, **_ends(incumbent_us)}]
        ratio = us / incumbent_us if us else None
        return {"kind": "predicted", "shapes": shapes, "incumbent": incumbent, "ratio": ratio, "margin": 0.05}

    def end(self, reason: str = "attempts_done") -> None:
        self.event("climb.ended", reason=reason)

    def alive(self) -> None:
        """Leave the note of a process that runs: ours."""
        note = {"pid": os.getpid(), "host": os.uname().nodename}
        (self.folder / "owner.json").write_text(json.dumps(note), encoding="utf-8")

    def _attempts(self) -> Iterator[Path]:
        return (self.folder / "attempts").glob("a*")

    def _append(self, name: str, record: Mapping[str, Any]) -> None:
        with (self.folder / name).open("a", encoding="utf-8", errors="surrogatepass") as file:
            file.write(json.dumps(record) + "\n")


DIFF = '''diff --git a/kernels/gdn/variants/pallas_fwd.py b/kernels/gdn/variants/pallas_fwd.py
--- a/kernels/gdn/variants/pallas_fwd.py
+++ b/kernels/gdn/variants/pallas_fwd.py
@@ -37,5 +37,5 @@ class Config:
     base: rows solved by substitution.
     """

-    chunk: int = 64
+    chunk: int = 128  # twice as wide
     heads: str = "one"
'''


def small(folder: Path, kind: str = "predicted") -> ClimbOnDisk:
    """Six attempts with one of each kind of end; ended."""
    climb = ClimbOnDisk(folder, kind)
    climb.start(attempts=6)
    climb.measure()
    usage = {"input_tokens": 1200, "cached_input_tokens": 1000, "output_tokens": 34}
    said = {"type": "item.completed", "item": {"type": "agent_message", "text": "I widen the chunk."}}
    ran = {
        "type": "item.completed",
        "item": {"type": "command_execution", "command": "ls", "aggregated_output": "x"},
    }
    transcript = [json.dumps(each).encode() for each in (said, ran)]
    climb.attempt("KEEP", "faster", 1559.6922857142854, usage=usage, cost_usd=0.25, transcript=transcript)
    climb.attempt("DISCARD", "slower", 3184.25, tunables={"chunk": 32})
    climb.attempt("INCONCLUSIVE", "within_margin", 1498.125)
    climb.attempt("CRASH", "vmem_oom", None)
    climb.attempt("", "timeout", None)
    climb.attempt("KEEP", "faster", 900.5)
    climb.end()
    return climb


def large(folder: Path, attempts: int = 1000, diff_lines: int = 40) -> ClimbOnDisk:
    """A climb as a coding agent leaves it after a long run: all kinds of ends, real-sized diffs and transcripts."""
    chance = random.Random(7)
    climb = ClimbOnDisk(folder)
    climb.start(attempts)
    climb.measure()
    weights = [weight for *_, weight in _VERDICTS]
    text = "\n".join(f"+    x{line} = jnp.dot(a[{line}], b) + {line}  # step {line}" for line in range(diff_lines))
    words = ["the", "scratch", "buffer", "overlaps", "with", "matrix", "results", "so", "wider", "blocks", "win"]
    for number in range(attempts):
        verdict, reason, _ = chance.choices(_VERDICTS, weights)[0]
        factor = {"KEEP": 0.97, "INCONCLUSIVE": 0.99}.get(verdict, 1 + chance.random() * 2)
        costs = verdict and reason in ("slower", "within_margin", "faster")
        said = [
            {
                "type": "item.completed",
                "item": {"type": "agent_message", "text": " ".join(chance.choices(words, k=300))},
            }
            for _ in range(3)
        ]
        climb.attempt(
            verdict,
            reason,
            max(climb.champion_us * factor, FLOOR_US * 1.1) if costs else None,
            hypothesis=f"idea {number}: " + " ".join(chance.choices(words, k=20)),
            diff=f"{DIFF}{text}\n",
            tunables={"chunk": 2 ** chance.randrange(4, 9), "heads": chance.randrange(1, 9)},
            transcript=[json.dumps(each).encode() for each in said],
            usage={"input_tokens": 40_000, "cached_input_tokens": 30_000, "output_tokens": 2_000},
        )
    climb.end()
    return climb


def _ends(us: float) -> dict[str, float]:
    return {"low_us": us / 1.25, "high_us": us * 1.25}


def _shape(us: float) -> dict[str, Any]:
    return {
        "shape": SHAPE,
        "predicted_us": us,
        **_ends(us),
        "refused": None,
        "program": "e" * 64,
        "floors": {
            "physics_us": PHYSICS_US,
            "physics_bound_by": "bytes",
            "target_us": FLOOR_US,
            "target_bound_by": "bytes",
        },
        "compiler": {
            "custom_calls": ["gdn_fwd.1"],
            "kernels": {"gdn_fwd.1": {"vmem_bytes": 1048577, "unit_use": {"MATMUL": 0.2599}}},
            "memory_bytes": {"temp_size_in_bytes": 549502976},
            "breakdown_us": {
                "issue": us * 0.6,
                "mxu_stall": us * 0.3,
                "dma_wait": us * 0.02,
                "neighbours": us * 0.08,
            },
            "mxu_util": 0.148,
            "hbm_bytes": 1652555776,
            "spills": 160768,
            "fills": 160769,
            "bundles": 4824142,
            "flags": ["operands: neighbours charged"],
            "model": "e1.0",
        },
    }


def _timing(us: float, incumbent_us: float) -> dict[str, Any]:
    chance = random.Random(3)
    samples = [
        [[1e-6 * incumbent_us * chance.gauss(1, 0.004), 1e-6 * us * chance.gauss(1, 0.004)] for _ in range(40)]
        for _ in range(3)
    ]
    ratio = us / incumbent_us
    return {
        "shape": SHAPE,
        "plan": {"threshold": 0.01},
        "device": {"kind": "TPU v5p"},
        "incumbent_us": incumbent_us,
        "candidate_us": us,
        "ratio": ratio,
        "ratio_low": ratio * 0.998,
        "ratio_high": ratio * 1.002,
        "least_detectable_effect": 0.0123,
        "samples_s": samples,
    }


def _checks() -> Iterator[Mapping[str, Any]]:
    for family in ("normal", "correlated"):
        output = {"output": "o", "rms": 0.0029, "allowed_rms": 0.005, "finite": True, "ok": True}
        yield {"shape": SHAPE, "family": family, "seed": 1, "executor": "replay", "outputs": [output]}


def registry(root: Path, runs: Sequence[str] = ()) -> Path:
    """A project with a registry; gives the folder of its runs."""
    (root / "registry.json").write_text(json.dumps({"domain": "pallas"}), encoding="utf-8")
    folder = root / ".cairn" / "runs"
    folder.mkdir(parents=True)
    for name in runs:
        small(folder / name)
    return folder
