"""Find code that can run a cairn command, from any directory and without writing beside this file.

The plugin's folder may be an assistant's read-only cache, and the `python3` that an assistant calls may have none
of cairn's packages. So, in order: the packages are importable -> run the code beside this file; a `cairn` of the
same version is installed -> become it; else exit 69 with the line that installs it. Standard library only, and
nothing that an older python3 could not parse: it must get as far as saying what is missing.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MISSING = 69
OLDEST_PYTHON = (3, 11)
# what `src/cairn` imports on the control side; a test compares it with pyproject.toml
PACKAGES = (
    "click",
    "filelock",
    "markdown_it",
    "msgspec",
    "psutil",
    "yaml",
    "rapidfuzz",
    "rich",
    "simpleeval",
)


def run(command):
    """Run `cairn COMMAND` with this process's arguments; does not return."""
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # for the interpreters that the command starts
    arguments = [command, *sys.argv[1:]]
    if packages_importable():
        run_beside(arguments)
    program = same_version_program()
    if program:
        os.execv(program, [program, *arguments])
    sys.stderr.write(how_to_install())
    sys.exit(MISSING)


def packages_importable():
    """Whether this interpreter can run the code beside this file."""
    if sys.version_info < OLDEST_PYTHON:
        return False
    from importlib.util import find_spec

    return all(find_spec(name) is not None for name in PACKAGES)


def run_beside(arguments):
    """Run src/cairn in this process, whatever other cairn this interpreter has."""
    here = ROOT / "scripts"
    sys.path[:] = [str(ROOT / "src"), *(path for path in sys.path if Path(path).resolve() != here)]
    from cairn.cli.main import main

    sys.argv[0] = "cairn"  # the name that usage lines show
    main(arguments)
    sys.exit(0)


def same_version_program():
    """An installed `cairn` of this version: on PATH, else in ROOT/.venv; None when there is none."""
    import shutil

    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    places.append(str(ROOT / ".venv" / "bin"))
    version = own_version()
    for place in places:
        program = shutil.which("cairn", path=place) if place else None
        if program and version_of(program) == version:
            return program
    return None


def own_version():
    """The version in src/cairn/__init__.py, read as text."""
    for line in (ROOT / "src" / "cairn" / "__init__.py").read_text(encoding="utf-8").splitlines():
        if line.startswith("__version__"):
            return line.split("=", 1)[1].strip().strip("\"'")
    return None


def version_of(program):
    """What `cairn --version` says, None when it does not answer."""
    import subprocess

    command = [program, "--version"]
    quiet = subprocess.DEVNULL
    try:
        answer = subprocess.run(command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = answer.stdout.decode("utf-8", "replace").split()
    return words[-1] if answer.returncode == 0 and words else None


def how_to_install():
    """Why nothing could run, and one line that mends it."""
    import shlex

    return (
        f"cairn: {sys.executable} has not all of cairn's packages, and no cairn {own_version()} is installed.\n"
        f"Run this once: uv tool install --force {shlex.quote(str(ROOT))}\n"
    )
