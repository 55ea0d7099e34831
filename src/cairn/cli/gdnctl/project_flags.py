"""Flags of `codex-loop` that belong to one training project: accepted, so that its command lines run, and idle."""

from cairn.cli.gdnctl.flags import Flag, Kind, idle

_NO_RUN = "no training run is profiled; the judge prices the kernel itself"
_NO_GATE = "no hotspot of a training step is a veto; the kernel's cost decides"

_PROFILE: tuple[tuple[str, object, Kind, tuple[str, ...]], ...] = (
    ("tpu", "v5p-8", "text", ()),
    ("size", "130m", "text", ("130m", "300m", "520m", "1_2b")),
    ("num-steps", 20, "int", ()),
    ("start-step", 2, "int", ()),
    ("num-steps-window", 6, "int", ()),
    ("batch-size", 8, "int", ()),
    ("chunk-size", None, "int", ()),
    ("segment-size", None, "int", ()),
    ("gdn-layers-per-block", None, "int", ()),
    ("gdn-block-size", None, "int", ()),
    ("all-transformer", False, "flag", ()),
    ("ce-implementation", "pallas_tpu", "text", ("auto", "xla", "reference", "pallas_tpu", "pallas_gpu")),
    ("ce-bwd-mode", "pallas", "text", ("pallas", "xla_streaming")),
    ("ce-compare-implementation", "auto", "text", ()),
    ("ce-bwd-compare-mode", "xla_streaming", "text", ("off", "pallas", "xla_streaming")),
    ("run-name-prefix", "gdn_loopgate", "text", ()),
    ("wandb-mode", "online", "text", ("online", "offline", "disabled")),
    ("marin-prefix", None, "text", ()),
    ("dry-run", False, "flag", ()),
)
_GATES: tuple[tuple[str, float], ...] = (
    ("max-while-increase-ms", 5.0),
    ("new-conditional-ms", 5.0),
    ("max-train-path-budget-increase-ms", 5.0),
    ("min-train-path-drop-ms", 1.0),
    ("step-duration-improvement-margin-ms", 0.2),
    ("max-remainder-budget-increase-ms", 2.0),
    ("max-dispatch-shard-shell-increase-ms", 2.0),
    ("max-ad-wrapper-shell-increase-ms", 1.0),
    ("max-xprof-idle-increase-ms", 0.5),
    ("min-dispatch-shard-shell-drop-ms", 1.0),
    ("min-xprof-dispatch-shard-shell-drop-ms", 2.0),
    ("max-xprof-ad-wrapper-shell-increase-ms", 1.0),
    ("max-decoder-layer-shell-budget-increase-ms", 2.0),
    ("min-decoder-layer-shell-drop-ms", 1.0),
    ("control-gate-override-pct", 5.0),
)

VALIDATION_PROFILE: tuple[Flag, ...] = (
    *(
        idle(f"--validation-profile-{name}", _NO_RUN, default, kind, choices=choices)
        for name, default, kind, choices in _PROFILE
    ),
    idle("--validation-profile-env", _NO_RUN, many=True),
)
GATES: tuple[Flag, ...] = tuple(idle(f"--perf-{name}", _NO_GATE, default, "float") for name, default in _GATES)
