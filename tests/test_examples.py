"""The gallery scripts run and draw."""

import runpy
from pathlib import Path

import matplotlib
import pytest

SCRIPTS = sorted((Path(__file__).parents[1] / "examples").glob("plot_*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_example_runs(script, capsys):
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    plt.close("all")
    runpy.run_path(str(script), run_name="__main__")
    (figure,) = map(plt.figure, plt.get_fignums())
    assert all(axis.has_data() for axis in figure.axes)
    assert capsys.readouterr().out
    plt.close("all")
