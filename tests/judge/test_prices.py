"""A price is worked out once: another process finds it, asks no compiler for it, and not for anything else."""

import sys
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
from cairn.lab.service import CompileService
from judge.lowered import lower, normal

pytestmark = pytest.mark.tpu_compiler

X = normal(16, 128)


def doubled(x):
    def kernel(x_ref, z_ref):
        z_ref[...] = 2 * x_ref[...]

    return pl.pallas_call(kernel, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype))(x)


def too_large(x):
    """Its block is a gigabyte."""

    def kernel(x_ref, z_ref):
        z_ref[...] = x_ref[...] + 1.0

    wide = jnp.broadcast_to(x[None], (2**17, *x.shape))
    return pl.pallas_call(kernel, out_shape=jax.ShapeDtypeStruct(wide.shape, wide.dtype))(wide)


def asked(program: bytes, cache: Cache | None) -> tuple[Price | Ruling, int]:
    """What a new pricer says, and how many compilers it has started."""
    with CompileService(Path(sys.executable)) as service:
        pricer = Pricer(service, "tpu-v5p", 120.0, kept=KeptPrices(cache))
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
