"""The frame of every page: one file, no network, both themes, printable; and the template engine behind it.

Everything that is put into a template is escaped unless it is markup made here. The page's own script draws texts as
text nodes only, and the content security policy lets nothing else run or load.
"""

import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from cairn.report import words
from cairn.report.canvas import theme_css
from cairn.report.embed import script_json
from cairn.report.inert import one_line

_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Section:
    """A part of a page: its id, its heading and what stands below it."""

    id: str
    title: str
    body: Markup


@dataclass(frozen=True)
class Page:
    """A page to be rendered.

    Args:
        title: heading and window title.
        subtitle: one line below it.
        state: a word beside the heading, such as `running`, with its tone in `state_tone`.
        sections: the parts, in order; each gets a link at the top.
        data: what the page carries as JSON for other tools, by the id of its element.
        footer: one line at the end.
    """

    title: str
    subtitle: str
    sections: Sequence[Section]
    state: str = ""
    state_tone: str = ""
    data: Mapping[str, object] | None = None
    footer: str = ""


def render_page(page: Page) -> str:
    """The whole file."""
    script, style = _asset("report.js"), _style()
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            title=one_line(page.title),
            script=Markup(script),
            style=Markup(style),
            policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {_hash(script)}",
            data={name: Markup(script_json(value)) for name, value in (page.data or {}).items()},
        )
    )


@functools.cache
def environment() -> jinja2.Environment:
    """The template engine: everything is escaped, and an unknown name is an error."""
    engine = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in (
        "microseconds",
        "interval",
        "times",
        "percent",
        "ratio",
        "duration",
        "money",
        "count",
        "moment",
        "calibration",
    ):
        engine.filters[name] = getattr(words, name)
    return engine


@functools.cache
def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _style() -> str:
    return _asset("report.css").replace("/*LIGHT*/", theme_css("light")).replace("/*DARK*/", theme_css("dark"))


def _hash(script: str) -> str:
    """The script by its hash: no other script of the page may run."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
