"""What the code of the guide prints, below it: every page is run from top to bottom."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

LOG = logging.getLogger(__name__)
PLACES = ("index", "getting_started", "pitfalls", "user_guide/")


def setup(app: Sphinx) -> dict[str, bool]:
    """Run a page's code when the page has been read."""
    app.connect("doctree-read", _run)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _run(app: Sphinx, doctree: nodes.document) -> None:
    page = app.env.docname
    if not page.startswith(PLACES):
        return
    names = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for block in list(doctree.findall(nodes.literal_block)):
            if block.get("language") == "python":
                try:
                    _show_below(block, _printed(block.astext(), page, names))
                except Exception as error:  # a warning, which fails a build with -W
                    LOG.warning("code fails: %r", error, location=block)
                    break


def _printed(code: str, page: str, names: dict[str, object]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(code, page, "exec"), names)
    return out.getvalue().rstrip()


def _show_below(block: nodes.literal_block, text: str) -> None:
    if text:
        shown = nodes.literal_block(text, text, language="none", classes=["printed"])
        block.parent.insert(block.parent.index(block) + 1, shown)
