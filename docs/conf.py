# ruff: noqa: INP001 - a file that Sphinx reads, no package
"""The site: README, these pages and the changelog, made by ``tox -e docs``.

The pages are plain Markdown, with links as GitHub resolves them. Here two things are added while they are read: the
navigation, which is taken from the links of ``index.md``, and pages that show the folders of the repository to which
links lead.
"""

from __future__ import annotations

import html
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent

project = "pytest-kvlatency"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["README.md", "CHANGELOG.md", "docs/*.md", "conftest_example/README.md"]
# They hold no page, and walking through them takes longer than the build.
exclude_patterns = [".*", "build", "dist", "pytest_kvlatency", "reports", "tests"]
myst_heading_anchors = 3
templates_path = ["_templates"]
html_theme = "furo"
html_title = "pytest-kvlatency"
html_copy_source = False
html_show_copyright = False


def navigation(_app: Sphinx, docname: str, source: list[str]) -> None:
    """Make a caption of each section of the index, and an entry of each page that it is the first to link."""
    if docname != root_doc:
        return
    seen: set[str] = set()
    for section in re.split(r"^## ", source[0], flags=re.MULTILINE)[1:]:
        pages = [page for page in re.findall(r"\]\(([\w./-]+)\.md\)", section) if page not in seen]
        seen.update(pages)
        caption = section.partition("\n")[0]
        tree = "\n".join([":hidden:", f":caption: {caption}", "", *dict.fromkeys(pages)])
        source[0] += f"\n```{{toctree}}\n{tree}\n```\n"


def links_to_folders(app: Sphinx, doctree: nodes.document) -> None:
    """Lead a link to a folder of the repository to its README, or else to a page that shows its files."""
    here = posixpath.dirname(app.env.docname)
    for link in list(doctree.findall(addnodes.pending_xref)):
        folder = posixpath.normpath(posixpath.join(here, link["reftarget"]))
        if link["reftype"] != "myst" or not (ROOT / folder).is_dir():
            continue
        if f"{folder}/README" in app.env.found_docs:
            link.update_basic_atts({"refdomain": "doc"})
            link["refdomain"], link["reftarget"], link["reftargetid"] = "doc", f"{folder}/README", None
            continue
        shown_folders(app).add(folder)
        uri = posixpath.relpath(f"{folder}/index.html", here or ".")
        link.replace_self(nodes.reference("", "", *link.children, internal=True, refuri=uri))


def shown_folders(app: Sphinx) -> set[str]:
    """Return the folders that need a page, which the build keeps between two runs."""
    if not hasattr(app.env, "kvlatency_folders"):
        app.env.kvlatency_folders = set()  # type: ignore[attr-defined]
    found: set[str] = app.env.kvlatency_folders  # type: ignore[attr-defined]
    return found


def folder_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Give a page for each of these folders, with the text of every file in it."""
    for folder in sorted(shown_folders(app)):
        parts = [f"<h1>{html.escape(folder)}</h1>"]
        for path in sorted(one for one in (ROOT / folder).rglob("*") if one.is_file()):
            name = path.relative_to(ROOT / folder).as_posix()
            if "__pycache__" in name:
                continue
            try:
                language = get_lexer_for_filename(name).aliases[0]
            except ClassNotFound:
                language = "text"
            text = app.builder.highlighter.highlight_block(path.read_text(encoding="utf-8"), language)  # type: ignore[attr-defined]
            parts.append(f"<section><h2>{html.escape(name)}</h2>{text}</section>")
        yield f"{folder}/index", {"title": folder, "body": "\n".join(parts)}, "page.html"
    # The site's own address leads to the index.
    yield "index", {}, "redirect.html"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the above."""
    app.connect("source-read", navigation)
    app.connect("doctree-read", links_to_folders)
    app.connect("html-collect-pages", folder_pages)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
