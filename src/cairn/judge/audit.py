"""The audit of a lowered program: what stands in it that has no place in a kernel."""

from cairn.judge.replay import Replayer, Unreplayable
from cairn.judge.verdict import Ruling
from cairn.worker_process import WorkerFailure


def audit(replayer: Replayer, program: bytes) -> Ruling | None:
    """None when nothing is wrong with a program for TPU.

    Callbacks into Python, calls of something that is no kernel, outputs that depend on no input, and inputs that are
    overwritten make it INVALID. Constants, unused inputs and the precision of products are facts for a reader, not
    faults: fresh seeds and the comparison with the truth deal with those.
    """
    try:
        facts = replayer.inspect(program)
    except Unreplayable as error:
        return Ruling("unreplayable", str(error)[:600])
    except WorkerFailure as failure:
        return Ruling("unreplayable", failure.detail[:600])
    if facts.host_callbacks:
        return Ruling("host_callback", ", ".join(facts.host_callbacks))
    if facts.unexpected_calls:
        return Ruling("unexpected_call", ", ".join(facts.unexpected_calls))
    if facts.donated_inputs:
        return Ruling("donated_input", f"inputs {list(facts.donated_inputs)}")
    if facts.constant_outputs:
        return Ruling("constant_output", f"outputs {list(facts.constant_outputs)}")
    return None
