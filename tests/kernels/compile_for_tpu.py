"""Compile one variant for a TPU that is not there; a process of its own, because libtpu reads its settings once.

Usage: compile_for_tpu.py VARIANT_FILE SPECS_JSON TOPOLOGY, the specs being what `input_specs` gives. Prints `compiled`
and exits 0, or raises. The variant is exported first and compiled from the exported program, the way a judge does it
that does not want the variant's code next to the compiler.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path

os.environ.update(
    JAX_PLATFORMS="cpu",
    TPU_SKIP_MDS_QUERY="1",
    TPU_WORKER_HOSTNAMES="localhost",
    TPU_ACCELERATOR_TYPE="v5litepod-4",  # any valid value: the topology names the chip
    ALLOW_MULTIPLE_LIBTPU_LOAD="1",
)

import jax
import jax.numpy as jnp
from jax import export
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

sys.path.insert(0, str(Path(__file__).parents[2] / "src" / "cairn" / "worker"))
from seen_as import seen_as


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def main(variant: Path, specs: list, topology: str) -> None:
    module = load(variant)
    config = module.Config()
    unsafe = [export.DisabledSafetyCheck.custom_call("tpu_custom_call")]
    lower = export.export(
        jax.jit(lambda *inputs: module.run(*inputs, config=config)), platforms=["tpu"], disabled_checks=unsafe
    )
    device = topologies.get_topology_desc(platform="tpu", topology_name=topology).devices[0]
    with seen_as(device.device_kind, device.num_cores):
        lowered = lower(*[jax.ShapeDtypeStruct(s, jnp.dtype(d)) for s, d in specs])
    program = export.deserialize(lowered.serialize())
    inputs = [
        jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=SingleDeviceSharding(device)) for a in program.in_avals
    ]
    jax.jit(program.call).trace(*inputs).lower(lowering_platforms=("tpu",)).compile()
    print("compiled")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3])
