"""Small projects for the tests, written as their users would."""

import json
from pathlib import Path

from cairn.registry import Registry, load_registry


def project(root: Path, files: dict[str, str], **registry: object) -> Registry:
    """A project with a registry and these files."""
    data = {"domain": "research", "paths": {"reports": "reports/", "experiment_log": "log.md"}, **registry}
    for name, text in {"registry.json": json.dumps(data), **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return load_registry(root)


SWEEP = """\
# Report: sweep

**Date:** 2026-02-01

| Variant | lr | Val loss | Median TPS |
|---|---:|---:|---:|
| base-a | 1e-3 | 2.91 | 34.4k |
| base-b | 3e-4 | 2.84 | 34.1k |
| base-b-seed1 | 3e-4 | 2.86 | 34.0k |
| wide-c | 6e-4 | 2.85 | 30.2k |

### What failed

- `wide-d` ran out of memory at batch 64

### Open questions

- Is a smaller learning rate better still?
"""
