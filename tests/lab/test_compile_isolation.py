"""A small share of `benchmarks/lab_isolation.py`: what kills the compiler is a classified result."""

import sys
from pathlib import Path

import pytest

from cairn.errors import Missing
from cairn.lab import service as service_module
from cairn.lab.installed import TRIED, unknown_dump, untried
from cairn.lab.service import CompileService

pytestmark = pytest.mark.tpu_compiler


def test_aborts_and_hangs_between_programs_that_are_fine(export_toy):
    programs = {name: export_toy(name) for name in ("add", "overflowing")}
    unrolled = export_toy("unrolled", times=3000)
    with CompileService(Path(sys.executable)) as service:
        asked = [
            service.compile(programs["overflowing"], "tpu-v5e", 100),
            service.compile(programs["add"], "tpu-v5e", 100),
            service.compile(unrolled, "tpu-v6e", 1.0),
            service.compile(programs["add"], "tpu-v6e", 100),
        ]
        assert service.starts == 3
    kinds = [result.failure and result.failure.kind for result in asked]
    assert kinds == ["crash", None, "timeout", None]
    assert "overflow in static extent" in asked[0].failure.line
    assert all(result.failure.hint for result in asked if result.failure)


def test_a_dump_of_an_unknown_form_names_the_version(service, export_toy, monkeypatch):
    monkeypatch.setattr(service_module.dumps, "read", lambda folder: service_module.Dump())
    with pytest.raises(Missing) as raised:
        service.compile(export_toy("add"), "tpu-v5e", 60)
    assert f"libtpu {service.versions()['libtpu']}" in raised.value.message


def test_versions_that_nobody_tried_are_flagged():
    assert untried({"libtpu": TRIED[0]}) is None
    assert untried({}) is None
    assert "0.0.99" in untried({"libtpu": "0.0.99"})
    assert TRIED[0] in unknown_dump({"libtpu": "0.0.99"}, "dies").hint
