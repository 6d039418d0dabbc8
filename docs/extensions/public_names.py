"""Links to ``mixup_tab.X`` lead to the page of X in its room; words of others stay words."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx

import mixup_tab


def setup(app: Sphinx) -> dict[str, bool]:
    """Look again for names that are not found as they stand."""
    app.connect("missing-reference", _in_its_room)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _in_its_room(
    app: Sphinx, env: object, node: nodes.Element, text: nodes.Node
) -> nodes.Element | None:
    if node.get("reftype") == "term":  # of scikit-learn's glossary, in what we inherit
        return text
    first, _, rest = node.get("reftarget", "").removeprefix("mixup_tab.").partition(".")
    if node.get("refdomain") != "py" or first not in mixup_tab.__all__:
        return None
    value = getattr(mixup_tab, first)
    target = f"{value.__module__}.{value.__qualname__}" + (f".{rest}" if rest else "")
    domain = env.get_domain("py")
    return domain.resolve_xref(
        env, node["refdoc"], app.builder, node.get("reftype", "obj"), target, node, text
    )
