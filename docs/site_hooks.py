"""What the site does with files beside docs/: a few become pages, links to all others become plain text.

The Markdown files are written for people who read them in the repository, where a relative link to a source file
works. On the site it would lead nowhere, and a strict build would say so.
"""

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
# file of the repository -> page of the site
TAKEN_OVER = {
    "kernels/README.md": "problems.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>(?![a-z]+:|#)[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
FENCE = re.compile(r"(?ms)^(```|~~~).*?^\1\s*$")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie outside docs/."""
    for origin, page in TAKEN_OVER.items():
        files.append(File.generated(config, page, abs_src_path=os.fspath(ROOT / origin)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to other pages of the site, and make plain text of those that leave it."""
    return relinked(markdown, page.file.src_uri)


def relinked(markdown: str, page: str) -> str:
    """The text of a page with its links as the site needs them; fenced code stays as it is."""
    at = next((origin for origin, taken in TAKEN_OVER.items() if taken == page), f"docs/{page}")

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(at), match["target"]))
        inside = TAKEN_OVER.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else None)
        if inside is None:
            return match["text"]
        return f"[{match['text']}]({posixpath.relpath(inside, posixpath.dirname(page))}{match['anchor'] or ''})"

    pieces, end = [], 0
    for fence in FENCE.finditer(markdown):
        pieces += [LINK.sub(link, markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*pieces, LINK.sub(link, markdown[end:])])
