#!/bin/sh
# Make the project's environment from uv.lock. uv is used when it is there, else fetched as a package into the
# environment itself. Nothing is written outside the project but uv's own cache.
set -eu
venv=$1
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "cairn needs Python 3.11 or later; $python is $("$python" --version 2>&1). Set PYTHON=/path/to/python3.11" >&2
    exit 69
fi
if command -v uv >/dev/null 2>&1; then
    uv=uv
    [ -x "$venv/bin/python" ] || uv venv --quiet --python "$python" "$venv"
else
    if [ ! -x "$venv/bin/python" ] && ! "$python" -m venv "$venv"; then
        echo "cairn: $python cannot make virtual environments; on Debian: apt-get install python3-venv" >&2
        exit 69
    fi
    # an environment that uv made has no pip
    [ -x "$venv/bin/uv" ] || "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null
    [ -x "$venv/bin/uv" ] || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
    uv=$venv/bin/uv
fi
sync() {
    # --inexact: keep uv itself, which is not among the locked packages
    VIRTUAL_ENV="$PWD/$venv" UV_PROJECT_ENVIRONMENT="$venv" \
        "$uv" sync --frozen --inexact --all-extras --no-progress --quiet
}

# uv brings certificates of its own; behind a proxy with others only the system's will do
if ! sync 2>"$venv/setup.log"; then
    if ! UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 sync; then
        cat "$venv/setup.log" >&2
        exit 69
    fi
fi
rm -f "$venv/setup.log"
# uv leaves bytecode to whoever imports first, and that would be cairn's workers, which write none: each would spend
# two seconds more on jax
"$venv/bin/python" - <<'EOF'
import compileall, importlib.util

for name in ("jax", "jaxlib", "numpy", "ml_dtypes", "opt_einsum"):
    for folder in importlib.util.find_spec(name).submodule_search_locations:
        compileall.compile_dir(folder, quiet=2, workers=0)
EOF
"$venv/bin/cairn" --version
