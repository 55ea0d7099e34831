"""The interpreter of the judge may lie anywhere; where it finds its modules, an agent writes nothing."""

import subprocess
import sys
from pathlib import Path

import pytest
from climbs import Bench

from cairn.agents.catalogue import AgentOptions, open_agent
from cairn.fence import fence_level, libraries_of
from workspace import Workspace


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """An interpreter of the user's, outside the project, with a module in its own library."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=100)
    return folder / "bin" / "python"


def test_the_libraries_of_an_interpreter(elsewhere: Path, tmp_path: Path, private_home: Path) -> None:
    found = libraries_of(elsewhere)
    (site,) = elsewhere.parent.parent.glob("lib/python*/site-packages")
    assert site.resolve() in found
    assert Path(subprocess.__file__).resolve().parent in found
    (site / "home.pth").write_text(f"{private_home}\n{private_home.parent}\n{tmp_path}\n")
    now = libraries_of(elsewhere)
    assert private_home.resolve() not in now, "agents need their own settings"
    assert tmp_path.resolve() in now
    assert libraries_of(tmp_path / "no-python") == []


@pytest.mark.skipif(fence_level() != "fenced", reason="without namespaces nothing is out of an agent's reach")
def test_an_agent_cannot_write_there(workspace: Workspace, elsewhere: Path) -> None:
    (site,) = elsewhere.parent.parent.glob("lib/python*/site-packages")
    harm = f"echo 'import os' > '{site}/jax.pth'; rm -f '{elsewhere}'"
    edit = "sed -i 's/block: int = 8/block: int = 16/' \"$CAIRN_VARIANT\""
    agent = open_agent("command", AgentOptions(command=f"{harm}; {edit}"))
    bench = Bench(workspace, agent=agent, trusted=tuple(libraries_of(elsewhere)))
    state = bench.run(attempts=1)
    assert [attempt.decision for attempt in state.decided] == ["kept"]
    assert not (site / "jax.pth").exists()
    assert elsewhere.is_symlink()
