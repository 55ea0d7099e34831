"""Which trackers there are, how one is named on a command line, and what each needs installed."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from cairn.errors import Missing, UsageError

# tracker -> the package that it needs, the extra that brings it
NEEDS = {
    "wandb": ("wandb", "wandb"),
    "tensorboard": ("tensorboardX", "tensorboard"),
    "mlflow": ("mlflow", "mlflow"),
}
OFF = "off"


@dataclass(frozen=True)
class SinkSpec:
    """A tracker and where its runs go; `where` is empty for the tracker's own default.

    wandb: `offline`, `online`, `[ENTITY/]PROJECT`, or a mode and a project, as in `offline:kernels`.
    tensorboard: a folder. mlflow: a tracking URI, or the path of an SQLite file.
    """

    kind: str
    where: str = ""

    @property
    def text(self) -> str:
        """As it is named on a command line."""
        return f"{self.kind}:{self.where}" if self.where else self.kind


def parse_sinks(texts: Sequence[str]) -> tuple[SinkSpec, ...]:
    """Every tracker that is asked for, each once; `off` alone is none.

    Raises:
        UsageError: no such tracker, or `off` beside others.
    """
    if OFF in texts:
        if len(set(texts)) > 1:
            raise UsageError("`off` goes with no other tracker", hint="--track off, or the trackers alone")
        return ()
    return tuple(dict.fromkeys(map(_parse, texts)))


def _parse(text: str) -> SinkSpec:
    kind, _, where = text.partition(":")
    if kind not in NEEDS:
        raise UsageError(f"no tracker `{kind}`", hint=f"{', '.join(NEEDS)}, each with or without `:WHERE`; or off")
    return SinkSpec(kind, where.strip())


def require_installed(sinks: Sequence[SinkSpec]) -> None:
    """Nothing when each tracker's package is there; it is not imported.

    Raises:
        Missing: one is not installed.
    """
    for sink in sinks:
        package, extra = NEEDS[sink.kind]
        if importlib.util.find_spec(package) is None:
            hint = f"pip install 'kernel-cairn[{extra}]'"
            raise Missing(f"--track {sink.kind} needs the package {package}", hint=hint)
