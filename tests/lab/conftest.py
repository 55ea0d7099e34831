"""Golden texts, chips, and - where libtpu is installed - one compile service and a way to export toy programs."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cairn.lab.bundles import Program, parse
from cairn.lab.service import CompileService

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
TOY_KERNELS = HERE / "toy_kernels.py"
ExportToy = Callable[..., bytes]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("libtpu") is None:
        for item in items:
            if item.get_closest_marker("tpu_compiler"):
                item.add_marker(pytest.mark.skip(reason="libtpu is not installed"))


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Program]:
    """Parsed bundles of a toy kernel by file name without `.bundles.txt`."""
    return lambda name: parse((GOLDEN / f"{name}.bundles.txt").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def service() -> Iterator[CompileService]:
    """The real compiler in the interpreter that runs the tests; warm for the whole session."""
    with CompileService(Path(sys.executable)) as running:
        yield running


@pytest.fixture(scope="session")
def export_toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExportToy]:
    """Export a toy program, each one once, in a process beside the tests; what lowering says is a RuntimeError."""
    folder = tmp_path_factory.mktemp("exports")
    with subprocess.Popen(
        [sys.executable, str(TOY_KERNELS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"JAX_PLATFORMS": "cpu"},
    ) as exporter:
        asked, answers = exporter.stdin, exporter.stdout
        assert asked is not None
        assert answers is not None

        def export(name: str, **settings: int) -> bytes:
            words = [f"{key}={value}" for key, value in sorted(settings.items())]
            out = folder / "-".join([name, *words])
            if not out.exists():
                print(json.dumps([name, str(out), *words]), file=asked, flush=True)
                if error := json.loads(answers.readline()):
                    raise RuntimeError(error)
            return out.read_bytes()

        yield export
