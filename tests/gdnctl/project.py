"""A project whose `gdn` problem is the toy kernel, with the door, and programs on PATH that play the outside world."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from workspace import TOY, git

ROOT = Path(__file__).parents[2]

UV = """\
#!/bin/sh
shift
exec "$@"
"""
# what the client is asked for is in the arguments; what the model "does" depends on the number of the attempt
CODEX = """\
#!{python}
import json, pathlib, re, sys
home = pathlib.Path({outside!r})
arguments = sys.argv[1:]
prompt = sys.stdin.read()
number = len(list(home.glob("prompt-*"))) + 1
(home / f"prompt-{{number}}").write_text(prompt)
(home / f"arguments-{{number}}").write_text(json.dumps(arguments))
tree = pathlib.Path(arguments[arguments.index("-C") + 1])
variant = tree / "kernels/gdn/variants/pallas_axpy.py"
text = variant.read_text()
blocks = {{1: 16, 3: 32, 6: 16}}
if number in blocks:
    variant.write_text(re.sub(r"block: int = \\d+", f"block: int = {{blocks[number]}}", text))
elif number == 4:
    variant.write_text("def broken(:\\n")
elif number == 5:
    print("ERROR: connection refused", file=sys.stderr)
    sys.exit(1)
claim = json.dumps({{"hypothesis": f"idea {{number}}", "idea_class": f"class-{{number}}"}})
item = {{"type": "agent_message", "text": claim}}
print(json.dumps({{"type": "item.completed", "item": item}}))
print(json.dumps({{"type": "turn.completed", "usage": {{"input_tokens": 100, "output_tokens": 10}}}}))
"""
DEV_TPU = """\
#!{python}
import pathlib, subprocess, sys, time
home = pathlib.Path({outside!r})
with (home / "dev_tpu.log").open("a") as log:
    print(*sys.argv[1:], file=log)
if "execute" in sys.argv:
    command = sys.argv[sys.argv.index("--") + 1:]
    sys.exit(subprocess.run(["true"] if "pytest" in command[-1] else command).returncode)
if "us-central1" in " ".join(sys.argv):
    sys.exit("no capacity in us-central1")
(home / "held").touch()
print("dev TPU is ready", flush=True)
try:
    time.sleep(600)
finally:
    (home / "held").unlink()
"""


@dataclass(frozen=True)
class Project:
    """`root` is the user's project, `outside` what the programs on PATH write down."""

    root: Path
    outside: Path
    path: str

    def run(self, command: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a shell command line in the project, as a user would."""
        environment = {**os.environ, "PATH": self.path, "USER": "me"}
        return subprocess.run(
            ["/bin/bash", "-c", command],
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def gdnctl(self, arguments: str, **more: float) -> subprocess.CompletedProcess[str]:
        return self.run(f"python scripts/gdn/gdnctl.py {arguments}", **more)

    def program(self, name: str, text: str) -> None:
        """Put a program on PATH."""
        path = self.outside / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def said(self) -> list[str]:
        log = self.outside / "dev_tpu.log"
        return log.read_text().splitlines() if log.exists() else []


def make_project(folder: Path) -> Project:
    root, outside = folder / "project", folder / "outside"
    shutil.copytree(TOY, root / "kernels/gdn", ignore=shutil.ignore_patterns("__pycache__"))
    text = (root / "kernels/gdn/problem.yaml").read_text()
    (root / "kernels/gdn/problem.yaml").write_text(text.replace("name: axpy", "name: gdn"))
    shutil.copytree(ROOT / "scripts", root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "registry.json").write_text('{"domain": "pallas", "targets": ["tpu-v5p"]}')
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "start")
    (outside / "bin").mkdir(parents=True)
    project = Project(root, outside, f"{outside}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}")
    project.program("uv", UV)
    for name, program in (("codex", CODEX), ("dev_tpu.py", DEV_TPU)):
        project.program(name, program.format(python=sys.executable, outside=str(outside)))
    return project
