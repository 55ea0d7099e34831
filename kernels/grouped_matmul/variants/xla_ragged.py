"""The compiler's own grouped matmul, `jax.lax.ragged_dot`: the baseline."""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    """Nothing to choose: the compiler decides how rows meet their group."""


def run(a, b, sizes, *, config: Config) -> tuple[jax.Array]:
    """Return [M,N], the rows of a [M,K] times their matrices of b [G,K,N], summed in float32 and rounded once."""
    del config
    return (jax.lax.ragged_dot(a, b, sizes, preferred_element_type=jnp.float32).astype(a.dtype),)
