"""What `inspect` tells about a lowered program."""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax._src.export._export import _module_to_bytecode
from jax._src.interpreters.mlir import make_ir_context
from jax.experimental import io_callback
from jax.experimental import pallas as pl
from jax.experimental.compute_on import compute_on
from jax.experimental.pallas import tpu as pltpu
from jaxlib.mlir import ir

from cairn.judge.protocol import JudgeLimits
from cairn.judge.replay import Replayer, Unreplayable
from judge.lowered import BF16, KERNELS, block_call, load, lower, normal, replayed

F32 = np.float32
X = normal(16, 128)


@pytest.fixture(scope="module")
def replayer() -> Iterator[Replayer]:
    with Replayer(Path(sys.executable), JudgeLimits()) as one:
        yield one


def doubling(x, out):
    out[...] = x[...] * 2


def test_inspect_counts_a_real_kernel(replayer: Replayer) -> None:
    folder = KERNELS / "matmul"
    shape = {"M": 512, "N": 1024, "K": 256}
    module = load(folder / "variants" / "pallas_tiled.py")
    inputs = load(folder / "reference.py").make_inputs(0, shape)
    facts = replayer.inspect(lower(lambda *x: module.run(*x, config=module.Config()), *inputs))
    (kernel,) = facts.kernels
    assert kernel.name == "matmul_tiled"
    assert kernel.grid == (2, 4, 1)
    assert kernel.flops == 2 * 512 * 1024 * 256
    assert kernel.flops_exact
    assert kernel.replayable
    assert kernel.operands == ("bf16[512,256]", "bf16[256,1024]")
    assert facts.live_kernels == ("matmul_tiled",)
    assert facts.unused_inputs == facts.constant_outputs == facts.donated_inputs == facts.constants == ()


def test_batched_products_in_loops_are_counted_and_branches_are_not_exact(replayer: Replayer) -> None:
    def kernel(a, b, out):
        def body(_, total):
            return total + jnp.einsum("bij,bjk->bik", a[...], b[...], preferred_element_type=F32)

        out[...] = jax.lax.fori_loop(0, 5, body, jnp.zeros(out.shape, F32))

    def maybe(a, b, out):
        @pl.when(pl.program_id(0) == 0)
        def _():
            kernel(a, b, out)

    a, b = normal(3, 16, 128, dtype=BF16), normal(3, 128, 128, dtype=BF16)
    for body, is_exact in ((kernel, True), (maybe, False)):
        program = lower(block_call(body, ((3, 16, 128), F32), grid=(2,)), a, b)
        (found,) = replayer.inspect(program).kernels
        assert found.flops == 2 * 5 * 2 * 3 * 16 * 128 * 128
        assert found.flops_exact is is_exact


def test_unused_inputs_and_constant_outputs_are_reported(replayer: Replayer) -> None:
    facts = replayer.inspect(lower(lambda x, y, z: (x + 1, jnp.full((4,), 3.0)), X, X, X))
    assert facts.inputs == 3
    assert facts.unused_inputs == (1, 2)
    assert facts.output_inputs == ((0,), ())
    assert facts.constant_outputs == (1,)


def test_an_operand_that_the_kernel_ignores_is_reported(replayer: Replayer) -> None:
    def ignores(x, y, out):
        y[...] = x[...]
        out[...] = x[...] * 2

    facts = replayer.inspect(lower(block_call(ignores, ((16, 128), F32)), X, X))
    assert facts.kernels[0].unread_operands == (1,)
    assert facts.unused_inputs == (1,)


def test_a_dead_kernel_is_not_alive(replayer: Replayer) -> None:
    call = block_call(doubling, ((16, 128), F32), name="beside")
    facts = replayer.inspect(lower(lambda x: x * 2 + jnp.minimum(call(x)[0, 0], 0) * 0, X))
    assert facts.live_kernels == ("beside",)  # its product with zero is for probes to find
    facts = replayer.inspect(lower(lambda x: jax.lax.optimization_barrier((x * 2, call(x)))[0], X))
    assert [kernel.name for kernel in facts.kernels] == ["beside"]


def test_constants_that_hold_an_answer_are_reported(replayer: Replayer) -> None:
    answer = normal(64, 128, seed=9)
    facts = replayer.inspect(lower(lambda x: x * 0 + answer, X[:1]))
    assert facts.constant_bytes == answer.nbytes
    assert facts.constants[0].where == "main"
    assert "64x128xf32" in facts.constants[0].type


def test_dependence_goes_through_loops_and_functions(replayer: Replayer) -> None:
    @jax.jit
    def inner(x, y):
        return x * 2, y

    def function(x, y, z):
        first, second = inner(x, y)
        return jax.lax.while_loop(lambda c: c[0][0, 0] < 9, lambda c: (c[0] + 1, c[1] * 2), (first, second))[1], z

    facts = replayer.inspect(lower(function, X, X, X))
    assert facts.output_inputs == ((0, 1), (2,))


def test_aliases_and_donations_are_reported(replayer: Replayer) -> None:
    call = block_call(doubling, ((16, 128), F32), input_output_aliases={0: 0})
    facts = replayer.inspect(lower(call, X))
    assert facts.kernels[0].aliases == {0: 0}
    np.testing.assert_array_equal(replayed(replayer, lower(call, X), X)[0], X * 2)


def test_a_skeleton_is_the_same_at_another_shape_unless_the_kernel_is_another(replayer: Replayer) -> None:
    """The cheat of one shape: exact where it is checked, cheap where it is priced."""

    def function(x, fake: bool):
        def kernel(x, out):
            half = x.shape[0] // 2 if fake and steps > 8 else x.shape[0]
            out[...] = jnp.exp(x[...]) if half == x.shape[0] else x[...]

        steps = x.shape[0] // 8
        spec = pl.BlockSpec((8, 128), lambda i: (i, 0))
        return block_call(kernel, (x.shape, F32), grid=(steps,), in_specs=[spec], out_specs=spec)(x)

    def found(rows: int, fake: bool) -> str:
        return replayer.inspect(lower(lambda x: function(x, fake), normal(rows, 128))).kernels[0].skeleton

    assert found(64, False) == found(4096, False) == found(64, True)
    assert found(4096, True) != found(64, True)


@pytest.mark.parametrize(
    ("name", "variant", "shapes"),
    [
        ("gdn", "pallas_fwd", [dict(B=1, T=256, H=16, K=128, V=128), dict(B=8, T=4096, H=16, K=128, V=128)]),
        ("matmul", "pallas_tiled", [dict(M=256, N=256, K=512), dict(M=4096, N=4096, K=4096)]),
    ],
)
def test_honest_kernels_keep_their_skeleton(
    name: str, variant: str, shapes: list[dict], replayer: Replayer
) -> None:
    module = load(KERNELS / name / "variants" / f"{variant}.py")
    found = set()
    for shape in shapes:
        specs = load(KERNELS / name / "reference.py").input_specs(shape)
        abstract = [jax.ShapeDtypeStruct(dimensions, jnp.dtype(dtype)) for dimensions, dtype in specs]
        program = lower(lambda *x: module.run(*x, config=module.Config()), *abstract)
        found.add(replayer.inspect(program).kernels[0].skeleton)
    assert len(found) == 1


def test_what_the_author_tells_the_compiler_is_reported(replayer: Replayer) -> None:
    options = {"compiler_params": pltpu.CompilerParams(vmem_limit_bytes=2**20, flags={"xla_tpu_some_flag": True})}
    (kernel,) = replayer.inspect(lower(block_call(doubling, ((16, 128), F32), **options), X)).kernels
    assert kernel.config["scoped_memory_configs"][0]["size"] == 2**20
    assert kernel.config["flag_configs"][0]["flag_type"] == "xla_tpu_some_flag"
    assert "body" not in kernel.config


def test_branches_on_data_are_reported_and_those_on_the_grid_are_not(replayer: Replayer) -> None:
    """exp of a constant has other last digits on the chip: enough to know where one is."""

    def on_arithmetic(x, out):
        here = jnp.exp(x[0, 0] * 0 + 1.2345) > 3.43668
        out[...] = x[...]

        @pl.when(here)
        def _():
            out[...] = x[...] * 2

    def on_the_grid(x, out):
        @pl.when((pl.program_id(0) == 0) | (pl.program_id(0) == pl.num_programs(0) - 1))
        def _():
            out[...] = x[...] * 2

    for kernel, expected in ((on_arithmetic, ("scf.if",)), (on_the_grid, ())):
        program = lower(block_call(kernel, ((16, 128), F32), grid=(2,)), X)
        assert replayer.inspect(program).kernels[0].data_branches == expected
    folder = KERNELS / "gdn"
    module, inputs = load(folder / "variants" / "pallas_fwd.py"), load(folder / "reference.py").input_specs
    specs = [
        jax.ShapeDtypeStruct(s, jnp.dtype(d)) for s, d in inputs({"B": 1, "T": 128, "H": 1, "K": 128, "V": 128})
    ]
    facts = replayer.inspect(lower(lambda *x: module.run(*x, config=module.Config()), *specs))
    assert facts.kernels[0].data_branches == facts.branches == ()


def test_branches_outside_of_kernels_are_reported(replayer: Replayer) -> None:
    def function(x, y):
        chosen = jax.lax.cond(y[0, 0] > 0, lambda: x * 2, lambda: x * 3)
        return jax.lax.fori_loop(0, 3, lambda _, value: value + 1, chosen)

    assert replayer.inspect(lower(function, X, X)).branches == ("case on inputs 1",)
    endless = lower(lambda x: jax.lax.while_loop(lambda v: v[0, 0] < 9, lambda v: v + 1, x), X)
    assert replayer.inspect(endless).branches == ("while on inputs 0",)


def test_donated_inputs_are_reported_and_stay_what_they_were(replayer: Replayer) -> None:
    program = lower(jax.jit(lambda x, y: (x + y, y * 2), donate_argnums=(0,)), X, X)
    assert replayer.inspect(program).donated_inputs == (0,)
    for _ in range(2):
        np.testing.assert_array_equal(replayed(replayer, program, X, X)[0], X + X)


def test_work_for_the_host_is_reported(replayer: Replayer) -> None:
    def function(x):
        return compute_on("device_host")(jax.jit(lambda y: y * 3))(x) + 1

    assert "func.call on the host" in replayer.inspect(lower(function, X)).host_callbacks


def test_work_for_the_chip_itself_is_no_work_for_the_host_and_sparse_cores_have_no_price(
    replayer: Replayer,
) -> None:
    def function(unit):
        return lower(lambda x: compute_on(unit)(jax.jit(lambda y: y * 3))(x) + 1, X)

    assert replayer.inspect(function("device")).host_callbacks == ()
    with pytest.raises(Unreplayable, match="sparse"):
        replayer.inspect(function("tpu_sparsecore"))


def test_an_approximate_search_is_an_ordinary_operation_of_a_processor(replayer: Replayer) -> None:
    program = export.export(jax.jit(lambda x: jax.lax.approx_max_k(x, 2)[0]), platforms=["cpu"])(X).serialize()
    assert replayer.inspect(bytes(program), "cpu").unexpected_calls == ()


def for_a_processor(function, *inputs: np.ndarray) -> bytes:
    unsafe = [export.DisabledSafetyCheck.custom_call("lapack_sgeqrf_ffi")]
    return bytes(export.export(jax.jit(function), platforms=["cpu"], disabled_checks=unsafe)(*inputs).serialize())


def test_linear_algebra_as_jax_makes_it_is_known_on_a_processor(replayer: Replayer) -> None:
    def function(a, b):
        solved = jnp.linalg.solve(a, b), jax.scipy.linalg.solve_triangular(a, b)
        return (*solved, jnp.linalg.cholesky(a), *tuple(jnp.linalg.qr(b)))

    program = for_a_processor(function, normal(3, 8, 8), normal(3, 8, 5))
    assert replayer.inspect(program, "cpu").unexpected_calls == ()


def test_a_routine_on_shapes_that_do_not_fit_it_would_leave_its_arrays(replayer: Replayer) -> None:
    def function(a):
        shapes = jax.ShapeDtypeStruct(a.shape, F32), jax.ShapeDtypeStruct((1000,), F32)
        return jax.ffi.ffi_call("lapack_sgeqrf_ffi", shapes)(a)

    program = for_a_processor(function, normal(8, 8))
    assert replayer.inspect(program, "cpu").unexpected_calls == ("lapack_sgeqrf_ffi",)


def test_what_may_be_left_unwritten_or_differs_from_call_to_call_is_not_read(replayer: Replayer) -> None:
    with pytest.raises(Unreplayable, match="unwritten"):
        replayer.inspect(for_a_processor(lambda a: jnp.linalg.eigvalsh(a), normal(8, 8)), "cpu")
    with pytest.raises(Unreplayable, match="other numbers in every call"):
        replayer.inspect(
            for_a_processor(lambda a: a + jax.lax.rng_uniform(F32(0), F32(1), (8, 8)), normal(8, 8)), "cpu"
        )


@pytest.mark.parametrize("callback", [jax.pure_callback, io_callback], ids=["pure", "io"])
def test_jax_exports_no_callback_for_a_chip_that_is_not_there(callback) -> None:
    with pytest.raises(ValueError, match="different from the lowering platform"):
        lower(lambda x: callback(np.asarray, jax.ShapeDtypeStruct(x.shape, x.dtype), x), X)


def test_a_program_written_by_hand_that_talks_to_the_host_is_refused_and_reported(replayer: Replayer) -> None:
    """What a callback becomes on a TPU: tokens and transfers. A worker may send any bytes, so it may send these."""
    program = export.export(jax.jit(lambda x: x * 2), platforms=["tpu"])(X)
    text = program.mlir_module().replace(
        "return ",
        "%token = stablehlo.create_token : !stablehlo.token\n"
        '%sent = "stablehlo.outfeed"(%arg0, %token) {outfeed_config = ""} '
        ": (tensor<16x128xf32>, !stablehlo.token) -> !stablehlo.token\nreturn ",
    )
    with make_ir_context():
        forged = dataclasses.replace(program, mlir_module_serialized=_module_to_bytecode(ir.Module.parse(text)))
    forged_bytes = bytes(forged.serialize())
    assert "stablehlo.outfeed" in replayer.inspect(forged_bytes).host_callbacks
    with pytest.raises(Unreplayable, match=r"stablehlo\.create_token"):
        replayed(replayer, forged_bytes, X)


def test_a_header_that_names_other_arrays_than_the_text_is_refused(replayer: Replayer) -> None:
    program = export.export(jax.jit(lambda x: x * 2), platforms=["tpu"])(X)
    narrow = tuple(jax.core.ShapedArray(aval.shape, jnp.bfloat16) for aval in program.out_avals)
    forged = bytes(dataclasses.replace(program, out_avals=narrow).serialize())
    with pytest.raises(Unreplayable, match="other arrays"):
        replayer.inspect(forged)
    with pytest.raises(Unreplayable, match="other arrays"):
        replayed(replayer, forged, X)
