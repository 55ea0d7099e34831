"""Several sequences in one row: cut into chunks that never straddle two of them, and put together again."""

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Packing:
    """Where tokens of sequences of any length (none is a length too) stand when each starts a new chunk.

    token [n * chunk]: the token in each place, T in an empty place. place [T]: the place of each token. plan [3,n]
    int32: for each chunk its sequence, and whether it is that sequence's first and its last. empty [N]: no token.
    """

    token: jax.Array
    place: jax.Array
    plan: jax.Array
    empty: jax.Array

    @classmethod
    def of(cls, cu_seqlens: jax.Array, T: int, chunk: int) -> "Packing":
        """From offsets [N+1], which may be traced: the number of chunks is their largest possible one."""
        offsets = cu_seqlens.astype(jnp.int32)
        lengths = offsets[1:] - offsets[:-1]
        N = lengths.shape[0]
        count = (lengths + chunk - 1) // chunk
        ends = jnp.cumsum(count)
        n = T // chunk + min(N, T) + 1
        index = jnp.arange(n, dtype=jnp.int32)
        used = index < ends[-1]
        # a chunk behind the last one belongs to the last sequence that has tokens, and changes nothing
        owner = jnp.searchsorted(ends, jnp.minimum(index, jnp.maximum(ends[-1] - 1, 0)), side="right")
        owner = jnp.minimum(owner.astype(jnp.int32), N - 1)
        within = index - (ends - count)[owner]
        row = within[:, None] * chunk + jnp.arange(chunk, dtype=jnp.int32)
        token = jnp.where(used[:, None] & (row < lengths[owner][:, None]), offsets[owner][:, None] + row, T)
        times = jnp.arange(T, dtype=jnp.int32)
        sequence = jnp.minimum(jnp.searchsorted(offsets[1:], times, side="right"), N - 1)
        place = (ends - count)[sequence] * chunk + times - offsets[sequence]
        plan = jnp.stack([owner, used & (within == 0), used & (within == count[owner] - 1)]).astype(jnp.int32)
        return cls(token.reshape(-1), place, plan, lengths == 0)

    def spread(self, x: jax.Array) -> jax.Array:
        """[1,T,...] to [1,n * chunk,...], zero in empty places: they change no state."""
        return jnp.take(x, self.token, axis=1, mode="fill", fill_value=0)

    def gather(self, x: jax.Array) -> jax.Array:
        """[1,n * chunk,...] back to [1,T,...]."""
        return jnp.take(x, self.place, axis=1)
