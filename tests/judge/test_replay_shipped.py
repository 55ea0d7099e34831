"""Kernels that ship with jax, replayed at small shapes: what real programs are made of."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cairn.judge.protocol import JudgeLimits
from cairn.judge.replay import Replayer
from judge.lowered import BF16, interpreted, lower, normal, relative_error, replayed

F32 = np.float32


@pytest.fixture(scope="module")
def replayer() -> Iterator[Replayer]:
    with Replayer(Path(sys.executable), JudgeLimits()) as one:
        yield one


def ships_matmul():
    from jax.experimental.pallas.ops.tpu.matmul import matmul

    a, b = normal(512, 512, dtype=BF16), normal(512, 512, dtype=BF16, seed=1)
    return lambda a, b: matmul(a, b, block_shape=(256, 256), block_k=256), (a, b)


def ships_flash_attention():
    from jax.experimental.pallas.ops.tpu.flash_attention import BlockSizes, flash_attention

    sizes = BlockSizes(block_q=128, block_k_major=128, block_k=128, block_b=1)
    inputs = tuple(normal(1, 2, 256, 128, seed=seed, dtype=BF16) for seed in range(3))
    return lambda q, k, v: flash_attention(q, k, v, causal=True, block_sizes=sizes), inputs


def ships_grouped_matmul():
    from jax.experimental.pallas.ops.tpu.megablox.gmm import gmm

    inputs = (
        normal(512, 256, dtype=BF16),
        normal(4, 256, 256, dtype=BF16),
        np.array([100, 0, 300, 112], np.int32),
    )
    return lambda a, b, sizes: gmm(a, b, sizes, preferred_element_type=F32, tiling=(128, 128, 128)), inputs


def ships_transposed_grouped_matmul():
    from jax.experimental.pallas.ops.tpu.megablox.gmm import tgmm

    inputs = (normal(256, 512, dtype=BF16), normal(512, 256, dtype=BF16), np.array([100, 40, 260, 112], np.int32))
    return lambda a, b, sizes: tgmm(a, b, sizes, preferred_element_type=F32, tiling=(128, 128, 128)), inputs


def ships_splash_attention():
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as splash
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks

    mask = masks.MultiHeadMask([masks.CausalMask((256, 256)) for _ in range(2)])
    sizes = splash.BlockSizes(block_q=128, block_kv=128, block_kv_compute=128)
    kernel = splash.make_splash_mha(mask, block_sizes=sizes, head_shards=1, q_seq_shards=1)
    q, k, v = (normal(2, 256, 128, seed=seed, dtype=BF16) for seed in range(3))
    return lambda q, k, v: kernel(q, k, v), ((q * BF16(0.125)).astype(BF16), k, v)


def ships_paged_attention():
    from jax.experimental.pallas.ops.tpu.paged_attention import paged_attention

    pages = np.random.default_rng(0).permutation(32).reshape(4, 8).astype(np.int32)
    lengths = np.array([64, 17, 40, 3], np.int32)
    q, k, v = normal(4, 8, 128), normal(2, 32, 16, 128, seed=1), normal(2, 32, 16, 128, seed=2)
    return lambda *x: paged_attention(*x, pages_per_compute_block=4), (q, k, v, lengths, pages)


SHIPPED = [
    ships_matmul,
    ships_flash_attention,
    ships_grouped_matmul,
    ships_transposed_grouped_matmul,
    ships_splash_attention,
    ships_paged_attention,
]


@pytest.mark.parametrize("make", SHIPPED, ids=lambda make: make.__name__)
def test_kernels_of_jax_replay(make, replayer: Replayer) -> None:
    function, inputs = make()
    (got,) = replayed(replayer, lower(function, *inputs), *inputs)
    (want,) = interpreted(function, *inputs)
    assert got.dtype == want.dtype
    assert relative_error(got, want) < 2e-2  # dots of float32 in one bfloat16 pass, as on the chip


def test_ragged_paged_attention_replays(replayer: Replayer) -> None:
    """No interpreter of jax 0.10 runs it (buffers seen with another width), the replay does."""
    from jax.experimental.pallas.ops.tpu.ragged_paged_attention import (
        ragged_paged_attention,
        ref_ragged_paged_attention,
    )

    q, pages = normal(64, 8, 128, dtype=BF16), normal(32, 16, 4, 128, dtype=BF16, seed=1)
    table = np.random.default_rng(0).permutation(32).reshape(4, 8).astype(np.int32)
    lengths, starts = np.array([30, 40, 0, 0], np.int32), np.array([0, 20, 52, 52, 52], np.int32)
    inputs = (q, pages, lengths, table, starts, np.array([2], np.int32))

    def function(*x):
        return ragged_paged_attention(*x, num_kv_pages_per_block=2, num_queries_per_block=16)

    (got,) = replayed(replayer, lower(function, *inputs, chip="TPU v5p"), *inputs)
    want = np.asarray(ref_ragged_paged_attention(*inputs))
    assert relative_error(got[: len(want)], want) < 2e-2
