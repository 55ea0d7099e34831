"""Cases from published measurements in which the simple rules are wrong, each with what makes them so.

A roofline sees neither block sizes nor latencies, and counting bundles sees no copies.
"""

import pytest

from cairn.lab.predict import predict
from cairn.roofline import chips

pytestmark = pytest.mark.tpu_compiler
TARGET = "tpu-v5e"


def priced(service, program: bytes):
    prediction = predict(service.compile(program, TARGET, 60), TARGET)
    assert prediction.refused is None
    return prediction


def test_a_deep_pipeline_is_bound_by_copies(service, export_toy):
    # Blocks of 128 x 1024 and 1024 x 128: for each 33 MFLOP half a megabyte comes from memory, three times what
    # the matrix units can use up. Double buffering hides latency, not bandwidth: counted bundles are too few.
    deep = priced(service, export_toy("matmul", size=1024, block=128, depth=1024))
    assert deep.breakdown["dma_wait"] > 0.3 * deep.us
    assert deep.bundles / 1500 < 0.7 * deep.us


def test_tiny_blocks_are_bound_by_issue_and_latency(service, export_toy):
    # One product of 128^3 a step: the step's own scalar work and its copies' latency take longer than the product,
    # so the time is many times the roofline although no unit is busy.
    tiny = priced(service, export_toy("matmul", size=1024, block=128))
    roofline_us = 2 * 1024**3 / (chips()[TARGET].tflops["bfloat16"] * 1e6)
    assert tiny.us > 8 * roofline_us
    assert tiny.mxu_util < 0.1
    assert tiny.breakdown["issue"] > 0.25 * tiny.us


def test_chains_of_products_are_bound_by_result_latency(service, export_toy):
    # Each product waits for the result of the one before, a latency of about a hundred cycles, and the compiler
    # does not pad the wait with bundles: counting them sees less than the half.
    short, long = (priced(service, export_toy("chain", length=length)) for length in (16, 32))
    cycles = (long.us - short.us) * 1500 / 16
    stalls = (long.breakdown["mxu_stall"] - short.breakdown["mxu_stall"]) * 1500 / 16
    assert stalls > 80
    assert stalls > 0.4 * cycles
