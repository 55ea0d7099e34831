"""Names of targets as people write them."""

from collections.abc import Sequence

from cairn.errors import UsageError
from cairn.lab.chip import TARGETS
from cairn.settings import did_you_mean

_GENERATIONS = {
    **{target.removeprefix("tpu-").removeprefix("tpu"): target for target in TARGETS},
    **{"v5-lite": "tpu-v5e", "v5litepod": "tpu-v5e", "v5": "tpu-v5p", "v6-lite": "tpu-v6e", "v6": "tpu-v6e"},
    **{"v7x": "tpu7x", "v7": "tpu7x", "ironwood": "tpu7x", "trillium": "tpu-v6e"},
}


def known_target(text: str) -> str:
    """`tpu-v5e` for `tpu-v5e`, `v5e`, `TPUv5e` or `TPU v5 lite`.

    Raises:
        UsageError: no such target, or one that nothing is compiled for here.
    """
    plain = text.lower().replace("_", "-").replace(" ", "-").removeprefix("tpu").lstrip("-")
    target = _GENERATIONS.get(plain)
    if target is None:
        hint = did_you_mean(text, list(TARGETS)) or f"one of {', '.join(TARGETS)}"
        raise UsageError(f"`{text}` is not a target of the lab", hint=hint)
    return target


def known_targets(texts: Sequence[str], default: Sequence[str]) -> list[str]:
    """Each named target once, in order; `all` stands for every one; the default's first when none is named."""
    if not texts:
        return [known_target(text) for text in default[:1]] or [TARGETS[2]]
    named = [target for text in texts for part in text.split(",") for target in _expanded(part)]
    return list(dict.fromkeys(named))


def _expanded(text: str) -> list[str]:
    return list(TARGETS) if text.strip().lower() == "all" else [known_target(text.strip())]
