"""The order in which examples are to be read."""

from __future__ import annotations

ORDER = (
    "plot_lambda.py",
    "plot_samples.py",
    "plot_boundaries.py",
    "plot_choose_alpha.py",
    "plot_underfitting.py",
    "plot_weight_decay.py",
    "plot_same_class.py",
    "plot_compare_own_table.py",
    "plot_calibration.py",
    "plot_corrupted_labels.py",
    "plot_adversarial.py",
    "plot_vicinal_sampling.py",
    "plot_own_net.py",
    "plot_images.py",
    "plot_speech_quickstart.py",
    "walk_through_speech.py",
    "plot_gan_stabilisation.py",
)


class Reading:
    """Sort key of sphinx-gallery: the place in ``ORDER``; what is not in it comes last.

    Parameters
    ----------
    folder : str
        Where the examples lie; makes no difference.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, name: str) -> tuple[int, str]:
        """Return what an example is sorted by."""
        return (ORDER.index(name) if name in ORDER else len(ORDER), name)
