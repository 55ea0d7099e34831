"""Gated DeltaNet for JAX, as a library: put the folder `kernels` on the path and import `gated_delta_rule`.

It needs jax and nothing else. The fused kernels are the very files that are judged and climbed in `kernels/gdn*`.
"""

from gated_delta_rule.decode import gated_delta_rule_decode
from gated_delta_rule.gates import gdn_gates
from gated_delta_rule.rule import gated_delta_rule

__all__ = ["gated_delta_rule", "gated_delta_rule_decode", "gdn_gates"]
