"""Figures of the gallery that pyplot does not know: those that our displays make."""

from __future__ import annotations

from typing import Any

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_DONE = "_in_the_gallery"


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save every figure among the names of an example, once.

    Parameters
    ----------
    block, block_vars, gallery_conf
        As sphinx-gallery passes them to image scrapers.

    Returns
    -------
    str
        The pictures as reStructuredText.
    """
    for number in plt.get_fignums():
        setattr(plt.figure(number), _DONE, True)  # for the scraper of sphinx-gallery
    saved = []
    for value in list(block_vars["example_globals"].values()):
        figure = value if isinstance(value, Figure) else getattr(value, "figure_", None)
        if not isinstance(figure, Figure) or hasattr(figure, _DONE):
            continue
        setattr(figure, _DONE, True)
        path = next(block_vars["image_path_iterator"])
        figure.savefig(path)
        saved.append(path)
    return figure_rst(saved, gallery_conf["src_dir"])
