"""A price is worked out once: another process finds it, asks no compiler for it, and not for anything else."""

import subprocess
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax.experimental import pallas as pl

from cairn.judge import prices
from cairn.judge.prices import KeptPrices, Price
from cairn.judge.pricing import Pricer
from cairn.judge.verdict import Ruling
from cairn.lab.cache import Cache
from cairn.lab.failures import classify
from cairn.lab.service import CompileResult, CompileService
from judge.lowered import lower, normal

pytestmark = pytest.mark.tpu_compiler

X = normal(16, 128)


def doubled(x):
    def kernel(x_ref, z_ref):
        z_ref[...] = 2 * x_ref[...]

    return pl.pallas_call(kernel, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype))(x)


def too_large(x):
    """Its blocks take 256 MiB."""

    def kernel(x_ref, z_ref):
        z_ref[...] = x_ref[...] + 1.0

    wide = jnp.broadcast_to(x[None], (2**14, *x.shape))
    return pl.pallas_call(kernel, out_shape=jax.ShapeDtypeStruct(wide.shape, wide.dtype))(wide)


def asked(program: bytes, cache: Cache | None) -> tuple[Price | Ruling, int]:
    """What a new pricer says, and how many compilers it has started."""
    with CompileService(Path(sys.executable)) as service:
        pricer = Pricer([service], "tpu-v5p", 120.0, kept=KeptPrices(cache))
        try:
            return pricer.price(program), service.starts
        finally:
            pricer.close()


def test_another_process_finds_the_price(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, program = Cache(tmp_path), lower(doubled, X)
    first, starts = asked(program, cache)
    assert isinstance(first, Price)
    assert first.us
    assert starts == 1
    assert asked(program, cache) == (first, 0)
    monkeypatch.setattr(prices, "_model", lambda: "another model")
    assert asked(program, cache)[1] == 1


def test_a_refusal_is_kept_like_a_price(tmp_path: Path) -> None:
    cache, program = Cache(tmp_path), lower(too_large, X)
    first, starts = asked(program, cache)
    assert isinstance(first, Ruling)
    assert first.reason == "vmem_oom"
    assert starts == 1
    assert asked(program, cache) == (first, 0)


def test_what_cannot_be_read_is_dropped(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    kept = KeptPrices(cache)
    kept.put("a compile", Ruling("vmem_oom", "too large"))
    (path,) = tmp_path.rglob("*.entry")
    cache.put(path.stem, b"of another version")
    assert kept.get("a compile") is None
    assert not path.exists()


def test_without_a_cache_nothing_is_kept() -> None:
    kept = KeptPrices(None)
    kept.put("a compile", Ruling("vmem_oom", "too large"))
    assert kept.get("a compile") is None


class Meeting:
    """A compiler that answers when as many programs are being compiled as there are compilers."""

    pid = None

    def __init__(self, barrier: threading.Barrier) -> None:
        self._barrier = barrier

    def key(self, exported: bytes, target: str, given: object) -> str:
        return exported.hex()

    def compile(self, exported: bytes, target: str, timeout_s: float, given: object) -> CompileResult:
        self._barrier.wait(timeout_s)
        return CompileResult(target, classify("ValueError", exported.decode()))

    def repeats(self, result: CompileResult) -> bool:
        return True


def test_programs_are_compiled_at_once() -> None:
    barrier = threading.Barrier(2)
    pricer = Pricer([Meeting(barrier), Meeting(barrier)], "tpu-v5p", 60.0)
    for program in (b"first", b"second"):
        pricer.prefetch(program)
    for program in (b"first", b"second"):
        assert program.decode() in pricer.price(program).detail
    pricer.close()


class Waiting(Meeting):
    """A compiler that is done when its process is ended."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(["sleep", "600"])
        self.pid = self._process.pid
        self.begun = threading.Event()

    def compile(self, exported: bytes, target: str, timeout_s: float, given: object) -> CompileResult:
        self.begun.set()
        self._process.wait(timeout_s)
        return CompileResult(target, classify("crash", "killed"))

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def test_what_nobody_asks_for_any_more_is_ended_and_nothing_else() -> None:
    busy, idle = Waiting(), Waiting()
    pricer = Pricer([busy, idle], "tpu-v5p", 60.0)
    try:
        pricer.prefetch(b"first")
        assert busy.begun.wait(60.0)
        pricer.abandon()
        assert busy._process.poll() is not None
        assert idle._process.poll() is None
    finally:
        pricer.close()
        busy.end()
        idle.end()
