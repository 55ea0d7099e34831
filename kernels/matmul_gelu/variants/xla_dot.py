"""The compiler's own matmul, into which it fuses bias and activation."""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    """Nothing to choose: the compiler picks its tiles."""


def run(a, b, bias, *, config: Config) -> tuple[jax.Array]:
    """Return gelu(a [M,K] times b [K,N] + bias [N]), rounded once."""
    del config
    total = jnp.dot(a, b, preferred_element_type=jnp.float32) + bias
    return (jax.nn.gelu(total, approximate=True).astype(a.dtype),)
