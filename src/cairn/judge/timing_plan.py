"""How much to measure, and on what: the plan of a paired timing, and the surroundings of the process that does it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairn.judge import evidence
from cairn.worker_process import WorkerProcess

InputSet = tuple[list[dict[str, Any]], list[bytes]]
# the first part of a target's chip -> the platform as jax names it
PLATFORMS = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu"}
# where a driver is and which device to use: the only words of the caller's environment that a timer hears
_DRIVER_VARIABLES = ("LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "TPU_VISIBLE_CHIPS")


@dataclass(frozen=True)
class TimingPlan:
    """How much to measure.

    Args:
        threshold: relative gain that counts. alpha: error rate of one decision.
        pairs: pairs in one process, fewer where a call is slow. processes: the cap on fresh processes.
        sample_s: how long one timed sample lasts at least; short calls are repeated until it does.
        process_s: about how long the pairs of one process may take in all.
        shape_s: after so long no more processes are started than could have settled it; what is open stays open.
        decide: stop when the decision is settled; else gather all processes, as a calibration does.
    """

    threshold: float = 0.01
    alpha: float = 0.05
    pairs: int = 400
    processes: int = 12
    sample_s: float = 5e-4
    process_s: float = 1.5
    shape_s: float = 180.0
    timeout_s: float = 300.0
    decide: bool = True

    @classmethod
    def spending(cls, alpha: float, threshold: float) -> "TimingPlan":
        """The plan of one decision at level `alpha`: a smaller one needs more processes, and room for dissent."""
        return cls(threshold=threshold, alpha=alpha, processes=2 * evidence.fewest(alpha) + 2)


@dataclass(frozen=True)
class TimingDevice:
    """Where programs are timed: an interpreter with jax, and the platform as jax names it."""

    python: Path
    platform: str

    def start(self) -> WorkerProcess:
        """A fresh process with the timer in it."""
        return WorkerProcess(self.python, "timer", environment=timer_environment(self.platform))


def timer_environment(platform: str) -> dict[str, str]:
    """Variables of the timing process: the device's platform first, one compute thread setting for both programs."""
    if platform == "cpu":
        return {"JAX_PLATFORMS": "cpu"}
    driver = {name: os.environ[name] for name in _DRIVER_VARIABLES if name in os.environ}
    return {**driver, "JAX_PLATFORMS": f"{platform},cpu", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
