"""Whether the packages that draw pages are installed; most commands, and half of this one, need none of them."""

from importlib.util import find_spec

from cairn.errors import Missing

PACKAGES = ("jinja2", "matplotlib", "pygments")


def require_report_extra() -> None:
    """Refuse with the line that installs them.

    Raises:
        Missing: pages and pictures cannot be drawn here.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        hint = "uv tool install 'kernel-cairn[report]'   (or: pip install 'kernel-cairn[report]')"
        raise Missing(f"a page needs {', '.join(missing)}", hint=hint)
