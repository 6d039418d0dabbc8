"""What this site needs beyond the settings of Sphinx and its extensions."""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
import warnings
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.ext.autosummary import autosummary_toc
from sphinx.util import logging

LOG = logging.getLogger(__name__)
EXAMPLES = Path(__file__).parents[1] / "examples"
# The order of the table there is the order of the gallery.
ORDER = re.findall(r"^\| `(\w+\.py)", (EXAMPLES / "README.md").read_text("utf-8"), re.MULTILINE)
PAGES_WITH_CODE = ("index", "getting_started", "pitfalls", "user_guide/", "why")
STAR = re.compile(r"(?<=[\s(])\*(?=[a-z_]+\b[,)])")  # as in "shape (batch, *features)"


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect everything below."""
    app.connect("autodoc-skip-member", skip_inherited_from_others)
    app.connect("autodoc-process-docstring", escape_stars, priority=100)  # before numpydoc
    app.connect("missing-reference", link_public_name)
    app.connect("doctree-read", leave_names_to_groups, priority=400)  # before autosummary
    app.connect("doctree-read", add_short_anchors)
    app.connect("doctree-read", run_code)
    app.add_html_math_renderer("mathml", (inline_formula, None), (formula, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def reading_order(name: str) -> int:
    """Return the place of an example in the gallery."""
    return ORDER.index(name) if name in ORDER else len(ORDER)


def skip_inherited_from_others(
    app: Sphinx, what: str, name: str, member: object, skip: bool, options: object
) -> bool | None:
    """List methods of this package only, not those of scikit-learn, skorch and torch."""
    function = member.fget if isinstance(member, property) else member
    home = getattr(function, "__module__", None) or ""
    return None if home.startswith("mixup_tab") else True


def escape_stars(
    app: Sphinx, what: str, name: str, member: object, options: object, lines: list[str]
) -> None:
    """Keep stars in shapes from starting an emphasis."""
    lines[:] = [STAR.sub(r"\\*", line) for line in lines]


def link_public_name(
    app: Sphinx, env: object, node: nodes.Element, text: nodes.Node
) -> nodes.Element | None:
    """Link a name, also one by the file where it lives, to its page under its public name."""
    if node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    parts = node.get("reftarget", "").removeprefix("mixup_tab.").split(".")
    for place in range(len(parts)):
        public = re.compile(r"mixup_tab\.([a-z]+\.)?" + re.escape(".".join(parts[place:])))
        if found := next(filter(public.fullmatch, domain.objects), None):
            kind = node.get("reftype", "obj")
            return domain.resolve_xref(
                env, node["refdoc"], app.builder, kind, found, node, text
            )
    return None


def leave_names_to_groups(app: Sphinx, doctree: nodes.document) -> None:
    """Let the sidebar list names under their group only; the index shows all groups in full."""
    if app.env.docname == "api/index":
        for node in list(doctree.findall(autosummary_toc)):
            node.parent.remove(node)


def add_short_anchors(app: Sphinx, doctree: nodes.document) -> None:
    """Let ``mixup_tab.X`` lead to X of any module; viewcode gives all of a file one module."""
    for node in doctree.findall(addnodes.desc_signature):
        short = {re.sub(r"^mixup_tab\.[a-z]+\.", "mixup_tab.", name) for name in node["ids"]}
        node["ids"] += short.difference(node["ids"])


def inline_formula(writer: object, node: nodes.math) -> None:
    """Write a formula as MathML, which browsers draw without a script from elsewhere."""
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def formula(writer: object, node: nodes.math_block) -> None:
    """Write a formula on a line of its own."""
    mathml = tex2mathml(node.astext(), as_block=True)
    writer.body.append(f'<div class="formula">{mathml}</div>')
    raise nodes.SkipNode


def run_code(app: Sphinx, doctree: nodes.document) -> None:
    """Run the code of a page from top to bottom, and show below it what it prints."""
    page = app.env.docname
    if not page.startswith(PAGES_WITH_CODE):
        return
    names = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for block in list(doctree.findall(nodes.literal_block)):
            # Blocks with a name need packages of others; tests/test_tracking.py runs them.
            if block.get("language") != "python" or block["names"]:
                continue
            out = io.StringIO()
            try:
                with contextlib.redirect_stdout(out), warnings.catch_warnings():
                    warnings.simplefilter("error")
                    exec(compile(block.astext(), page, "exec"), names)
            except Exception as error:  # a warning, which fails a build with -W
                LOG.warning("code fails: %r", error, location=block)
                return
            if text := out.getvalue().rstrip():
                shown = nodes.literal_block(text, text, language="none", classes=["printed"])
                block.parent.insert(block.parent.index(block) + 1, shown)
