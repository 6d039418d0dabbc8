"""How ``python -m sphinx -W --keep-going -b html docs docs/_build/html`` builds these pages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))

from sphinx.application import Sphinx  # noqa: E402

import mixup_tab  # noqa: E402
from mixup_tab.playground import write_playground  # noqa: E402

project = "mixup-tab"
author = "The mixup-tab developers"
copyright = "The mixup-tab developers, BSD-3-Clause"
version = release = mixup_tab.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "site_extension",
]
exclude_patterns = ["_build", "_templates"]
html_math_renderer = "mathml"
templates_path = ["_templates"]
smartquotes = False
suppress_warnings = ["ref.term"]  # of scikit-learn's glossary, in what we inherit

# Links to other projects need a network, and a build must not.
if os.environ.get("DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "skorch": ("https://skorch.readthedocs.io/en/stable", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
    }

# The API reference: numpydoc describes types, so signatures need not.
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"  # or the page's own list would cut names off
numpydoc_show_class_members = False

myst_heading_anchors = 3

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "abort_on_example_error": True,
    "doc_module": ("mixup_tab",),
    "backreferences_dir": "api/generated/backreferences",
    "download_all_examples": False,
    "default_thumb_file": str(DOCS / "_static" / "logo.svg"),
    "within_subsection_order": "site_extension.reading_order",
    "show_signature": False,
    # That page loads scripts from elsewhere; every example says how long it took.
    "write_computation_times": False,
    "remove_config_comments": True,
    "min_reported_time": 0,
    # A part of the gallery: DOCS_EXAMPLES="plot_choose|plot_own".
    "filename_pattern": os.environ.get("DOCS_EXAMPLES") or r"[\\/]plot_",
}

html_theme = "pydata_sphinx_theme"
html_title = "mixup-tab"
html_logo = "_static/logo.svg"
html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_show_sourcelink = html_copy_source = False
PROJECT = tomllib.loads((DOCS.parent / "pyproject.toml").read_text("utf-8"))["project"]
html_theme_options = {
    "logo": {"text": "mixup-tab", "alt_text": "mixup-tab, first page"},
    "github_url": PROJECT.get("urls", {}).get("Homepage", ""),
    "navbar_align": "left",
    "navbar_start": ["navbar-logo", "navbar-version"],
    "navbar_center": ["navbar-nav", "navbar-playground"],
    "navbar_persistent": ["search-button"],
    "header_links_before_dropdown": 6,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {
    page: [] for page in ("index", "getting_started", "pitfalls", "why", "layout", "changes")
}


def write_command_line(_: Sphinx) -> None:
    """Let Typer describe all commands; one list replaces its own, which are cut short."""
    target = DOCS / "api" / "generated" / "command_line.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "typer", "mixup_tab.cli.app", "utils", "docs"]
    options = ["--name", "mixup-tab", "--title", "Command line", "--output", str(target)]
    subprocess.run(command + options, check=True, stdout=subprocess.DEVNULL)
    text = target.read_text(encoding="utf-8")
    text = re.sub(r"\*\*Commands\*\*:\n\n(\* .*\n)+\n?", "", text)
    example = r"**Example**:\n\n```console\n$ \1\n```"
    text = re.sub(r"^Example: (.*)$", example, text, flags=re.MULTILINE)
    text = re.sub(
        r":\n(.* \| mixup-tab .*)$", r":\n\n```console\n$ \1\n```", text, flags=re.MULTILINE
    )
    text = text.replace("* `--help`:", "* `-h, --help`:")
    # Markdown would take "<word>/*.wav" for a tag of HTML, and show nothing.
    text = re.sub(r"(`[^`\n]*`)|(<\w+>\S*\w)", lambda m: m[1] or f"`{m[2]}`", text)
    titles = re.findall(r"^##+ `mixup-tab (.+)`\n\n(.+)$", text, flags=re.MULTILINE)
    rows = (
        f"| [`{name}`](#mixup-tab-{name.replace(' ', '-')}) | {what} |\n"
        for name, what in titles
    )
    table = "| `mixup-tab` … | what it does |\n|---|---|\n" + "".join(rows)
    text = text.replace("**Usage**", f"{table}\n**Usage**", 1)
    target.write_text(text, encoding="utf-8")


def add_playground(app: Sphinx, error: Exception | None) -> None:
    """Put the interactive page beside the others."""
    page = Path(app.outdir, "playground.html")
    if error is None and app.builder.format == "html":
        write_playground(page)


def setup(app: Sphinx) -> None:
    """Connect the hooks above."""
    app.connect("builder-inited", write_command_line)
    app.connect("build-finished", add_playground)
