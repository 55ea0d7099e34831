"""Types of array elements by the many names that people and compilers have for them."""

from cairn.errors import UsageError
from cairn.settings import did_you_mean

_SHORT = {
    **{f"f{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"{sign}{bits}": f"int{bits}" for bits in (2, 4, 8, 16, 32, 64) for sign in "si"},
    **{f"u{bits}": f"uint{bits}" for bits in (2, 4, 8, 16, 32, 64)},
    **{"bf16": "bfloat16", "pred": "bool", "i1": "bool", "bool_": "bool"},
    **{"f8e4m3fn": "float8_e4m3fn", "f8e5m2": "float8_e5m2", "f8e4m3b11fnuz": "float8_e4m3b11fnuz"},
    **{"f8_e4m3fn": "float8_e4m3fn", "f8_e5m2": "float8_e5m2", "fp8": "float8_e4m3fn", "half": "float16"},
    **{"f4e2m1fn": "float4_e2m1fn", "float": "float32", "int": "int32", "fp16": "float16", "fp32": "float32"},
    **{"c64": "complex64", "e4m3": "float8_e4m3fn", "e5m2": "float8_e5m2", "e4m3fn": "float8_e4m3fn"},
    **{f"{stem}_{kind}": f"float8_{kind}" for stem in ("fp8", "f8") for kind in ("e4m3fn", "e5m2")},
    **{"fp8_e4m3": "float8_e4m3fn", "f8_e4m3": "float8_e4m3fn"},  # the one that TPUs have
}
_OTHER = (
    "float8_e4m3",
    "float8_e3m4",
    "float8_e8m0fnu",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "complex128",
    "uint1",
)
TYPES = {**_SHORT, **{name: name for name in (*_SHORT.values(), *_OTHER)}}


def dtype_of(word: str, text: str) -> str:
    """The full name of a type.

    Raises:
        UsageError: it is none.
    """
    name = TYPES.get(word) or TYPES.get(word.lower())
    if name is None:
        hint = did_you_mean(word, sorted(TYPES)) or "for example: bf16[8,128], float32[8,128], i32[4]=[1,2,3,4]"
        raise UsageError(f"`{word}` is not a type of array elements, in `{text[:80]}`", hint=hint)
    return name
