"""What libtpu's own static profile says about programs of the cache: a second opinion, and a baseline.

    python -m calibration.static_profile --cache DIR --only FAMILY/CHIP ...      # run from benchmarks/

One process a program: libtpu reads its flags once, and the profiler aborts the process on some kernels and on TPU v4.
A row that it aborts on, or takes too long for, is left out. Results go to `static_profile.json`.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from calibration import scored
from calibration.collect import TARGETS, load

from cairn.lab import chip
from cairn.roofline import chips

_CYCLES = re.compile(r"estimated_cycles: (\d+)\s+num_equivalent_hlos: (\d+)")
_COMPILE = """
import sys
import jax
from jax import export
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding
program = export.deserialize(bytearray(open(sys.argv[1], "rb").read()))
device = topologies.get_topology_desc(platform="tpu", topology_name=sys.argv[2]).devices[0]
on_device = SingleDeviceSharding(device)
avals = [jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=on_device) for a in program.in_avals]
jax.jit(program.call, keep_unused=True).trace(*avals).lower(lowering_platforms=("tpu",)).compile()
"""
_SETTINGS = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder of compile results")
    parser.add_argument("--only", nargs="+", required=True, help="family/chip, as in pf_matmul/v5e")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one program")
    arguments = parser.parse_args()
    found = scored.static_us()
    for path in sorted(arguments.cache.glob("*.pickle.gz")):
        identity = path.name.removesuffix(".pickle.gz").replace("~", "/")
        group, _, _ = identity.rpartition("/")
        if group not in arguments.only or identity in found:
            continue
        target = TARGETS[identity.split("/")[1]]
        cycles = profiled_cycles(load(path)["exported"], target, arguments.timeout)
        print(f"{identity} {cycles}", flush=True)
        if cycles:
            found[identity] = round(cycles / (chip.load(target).clock_ghz * 1000.0), 3)
            scored.STATIC_FILE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


def profiled_cycles(exported: bytes, target: str, timeout_s: float) -> int:
    """Estimated cycles of all operations of the program; 0 where the profiler gives none."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "program")
        program.write_bytes(exported)
        flags = {"LIBTPU_INIT_ARGS": f"--xla_jf_dump_static_llo_profile_to={folder}"}
        command = [sys.executable, "-c", _COMPILE, program, str(chips()[target].topology)]
        try:
            subprocess.run(
                command, env={**os.environ, **_SETTINGS, **flags}, timeout=timeout_s, capture_output=True
            )
        except subprocess.TimeoutExpired:
            return 0
        texts = [path.read_text(encoding="utf-8") for path in Path(folder).glob("*.textproto")]
    return sum(int(cycles) * int(alike) for text in texts for cycles, alike in _CYCLES.findall(text))


if __name__ == "__main__":
    sys.exit(main())
