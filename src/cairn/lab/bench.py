"""One subject after the other on one target: lower, compile, predict; from the cache where it was done before.

Used by every `cairn lab` command and by the lanes of a sweep. The answer to a kernel that does not lower or compile is
an `Answer` with a classified failure, not an exception.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache as remembered
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from cairn import __version__
from cairn.lab.cache import Cache
from cairn.lab.failures import Failure
from cairn.lab.installed import untried
from cairn.lab.lowering import Lowerer
from cairn.lab.observe import Observe
from cairn.lab.predict import MODEL_VERSION, Prediction, predict
from cairn.lab.service import CompileService
from cairn.lab.stored import CompileResult
from cairn.lab.subject import Subject
from cairn.lab.user_files import UserFunction

_HERE = Path(__file__).parent
_UNDECIDED = "not in the program"


@dataclass(frozen=True)
class Answer:
    """What came out for one subject on one target. `failure` is None when it compiled.

    `open_integers`: arrays of integers among the arguments that nobody gave values for.
    """

    subject: str
    target: str
    program: str | None = None
    failure: Failure | None = None
    compiled: CompileResult | None = None
    prediction: Prediction | None = None
    versions: Mapping[str, str | None] = field(default_factory=dict)
    open_integers: tuple[str, ...] = ()

    @property
    def refused(self) -> str | None:
        """Why there is no number, None when there is one."""
        if self.failure is not None:
            return f"it does not compile: {self.failure.kind}: {self.failure.line}"
        reason = None if self.prediction is None else self.prediction.refused
        warning = untried(self.versions)
        return f"{reason}; {warning}" if reason and warning else reason

    @property
    def hint(self) -> str | None:
        """What to do about a missing number, None where nothing is known to help."""
        if self.failure is not None:
            return self.failure.hint
        if self.refused is None or not self.open_integers or _UNDECIDED not in self.refused:
            return None
        first = self.open_integers[0]
        example = f"{first}=16" if first.endswith("[]") else f"{first}=[3,1,0,4] or =512"
        return f"if {', '.join(self.open_integers)} decides what is visited, give its values, e.g. {example}"

    def as_data(self) -> dict[str, Any]:
        """Plain data for scripts; the fields of a prediction are always there, None where there is no number."""
        prediction = self.prediction or Prediction()
        compiled = self.compiled
        return {
            "subject": self.subject,
            "target": self.target,
            "kind": "predicted",
            "us": prediction.us,
            "low_us": prediction.low_us,
            "high_us": prediction.high_us,
            "breakdown": dict(prediction.breakdown),
            "flags": [*prediction.flags, *filter(None, [untried(self.versions)])],
            "refused": self.refused,
            "hint": self.hint,
            "failure": None if self.failure is None else asdict(self.failure),
            "cycles": prediction.cycles,
            "mxu_util": prediction.mxu_util,
            "hbm_bytes": prediction.hbm_bytes,
            "spills": prediction.spills,
            "fills": prediction.fills,
            "bundles": prediction.bundles,
            "same_kernel_margin": prediction.same_kernel_margin,
            "custom_calls": [] if compiled is None else list(compiled.custom_calls),
            "memory_bytes": {} if compiled is None else dict(compiled.memory),
            "compile_s": None if compiled is None else compiled.seconds.get("compile"),
            "cached": compiled is not None and compiled.cached,
            "program": self.program,
            "versions": {"cairn": __version__, "model": MODEL_VERSION, **self.versions},
        }


class Bench:
    """Context manager round the processes for one target.

    Args:
        python: interpreter that has jax and libtpu.
        target: what to compile for.
        cache: where answers are kept; None for nowhere.
        timeout_s: for each lowering and each compile.
    """

    def __init__(self, python: Path, target: str, *, cache: Cache | None = None, timeout_s: float = 300.0) -> None:
        self.target = target
        self._python = python
        self._cache = cache
        self._timeout_s = timeout_s
        self._service = CompileService(python, cache=cache)
        self._lowerers: dict[UserFunction, Lowerer] = {}

    def __enter__(self) -> "Bench":
        self._service.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lowerer in self._lowerers.values():
            lowerer.close()
        self._service.__exit__(kind, error, trace)

    def compile(self, subject: Subject, *, locations: bool = False, timeout_s: float | None = None) -> Answer:
        """Lower and compile. An error is asked for once more with source lines, to name the kernel's own.

        Raises:
            Missing: the interpreter lacks jax or libtpu.
        """
        answer = self._compiled(subject, locations, timeout_s)
        failure = answer.failure
        lasting = failure is not None and failure.kind not in ("timeout", "crash") and failure.source is None
        if not lasting or locations or subject.function is None or answer.program is None:
            return answer
        again = self._compiled(subject, True, timeout_s)
        same = again.failure is not None and failure is not None and again.failure.kind == failure.kind
        return again if same else answer

    def predict(
        self,
        subject: Subject,
        *,
        observe: Observe | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """Lower, compile and predict.

        Args:
            subject: the kernel.
            observe: see `cairn.lab.predict.predict`; with one nothing is taken from the cache of predictions.
            timeout_s: for the compile, instead of the bench's.

        Raises:
            Missing: the interpreter lacks jax or libtpu.
        """
        return self.predicted(self.compile(subject, timeout_s=timeout_s), observe)

    def predicted(self, answer: Answer, observe: Observe | None = None) -> Answer:
        """The same answer with its prediction; one that did not compile stays as it is."""
        return answer if answer.compiled is None else replace(answer, prediction=self._prediction(answer, observe))

    def _compiled(self, subject: Subject, locations: bool, timeout_s: float | None) -> Answer:
        versions = self._service.versions()
        program = self._program(subject, locations)
        if isinstance(program, Failure):
            return Answer(subject.name, self.target, failure=program, versions=versions)
        result = self._service.compile(program, self.target, timeout_s or self._timeout_s, subject.given)
        name = hashlib.sha256(program).hexdigest()
        compiled = result if result.ok else None
        integers = _open_integers(subject)
        return Answer(
            subject.name, self.target, name, result.failure, compiled, versions=versions, open_integers=integers
        )

    def _program(self, subject: Subject, locations: bool) -> bytes | Failure:
        if subject.program is not None:
            return subject.program
        assert subject.function is not None
        lowerer = self._lowerers.get(subject.function)
        if lowerer is None:
            lowerer = Lowerer(
                self._python, subject.function, self.target, cache=self._cache, timeout_s=self._timeout_s
            )
            self._lowerers[subject.function] = lowerer
        known = lowerer.known(subject.request, locations=locations)
        if known is not None:
            return known
        self._service.prepare()  # the compiler starts while the function is lowered
        return lowerer.lower(subject.request, locations=locations)

    def _prediction(self, answer: Answer, observe: Observe | None) -> Prediction:
        assert answer.compiled is not None
        if self._cache is None or observe is not None:
            return predict(answer.compiled, self.target, observe)
        compiled = answer.compiled
        facts = [answer.program, self.target, sorted(compiled.versions.items()), compiled.known, model_digest()]
        key = hashlib.sha256(msgspec.json.encode(facts)).hexdigest()
        data = self._cache.get(key)
        if data is not None:
            return msgspec.msgpack.decode(data, type=Prediction)
        prediction = predict(answer.compiled, self.target)
        self._cache.put(key, msgspec.msgpack.encode(prediction))
        return prediction


def _open_integers(subject: Subject) -> tuple[str, ...]:
    """Integer arrays of a call without values, as they are written in `--shapes`."""
    call = subject.request.call or {}
    nodes = [*call.get("positional", ()), *call.get("keyword", {}).values()]
    return tuple(
        f"{node['dtype']}[{','.join(map(str, node['shape']))}]"
        for node in nodes
        if node["kind"] == "array" and node["dtype"] in ("int32", "uint32", "int64") and not subject.given
    )


@remembered
def model_digest() -> str:
    """Digest of the cost model's code and tables: another model gives other numbers."""
    digest = hashlib.sha256()
    for path in sorted([*_HERE.glob("*.py"), *_HERE.glob("tables/*")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()
