"""``mixup-tab speech train``: from a folder of clips to a saved model."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch
from skorch.callbacks import Callback

from mixup_tab._files import check_writable, write_whole
from mixup_tab._terminal import ProgressBar, list_skipped
from mixup_tab.audio import load_audio_folder, read_clips, speech_classifier
from mixup_tab.audio.parts import Parts, split_clips
from mixup_tab.audio.saving import (
    SpeechCard,
    check_replaceable,
    save_speech_model,
)
from mixup_tab.displays import LossCurveDisplay
from mixup_tab.training import ResumeFile
from mixup_tab.training.state import mixed_epochs
from mixup_tab.training.stopping import propagate_interrupt


class Clips(NamedTuple):
    """Waveforms and their words; ``skipped`` are files that could not be read, and why."""

    X: np.ndarray
    y: np.ndarray
    skipped: list[tuple[str, str]]


class Validation(Callback):
    """After every epoch, loss and accuracy on clips that were held out, into the history.

    Nothing is chosen by them.

    Parameters
    ----------
    X : ndarray of shape (clips, samples)
        Waveforms; there may be none.
    y : ndarray of int of shape (clips,)
        Class codes.
    bar : ProgressBar
        Shows how far training is.
    """

    def __init__(self, X: np.ndarray, y: np.ndarray, bar: ProgressBar) -> None:
        self.X, self.y, self.bar = X, y, bar

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Predict for the clips held out."""
        mixed = (
            np.max(net.alpha) > 0
            and mixed_epochs(net.mixing_span, net.max_epochs)[len(net.history) - 1]
        )
        told = "loss on mixed clips" if mixed else "training loss"
        told += f" {net.history[-1, 'train_loss']:.3f}"
        if len(self.X):
            outputs = torch.from_numpy(net.raw_outputs(self.X)).double()
            proba = outputs.softmax(-1).mean(0)
            own = proba[torch.arange(len(self.y)), torch.from_numpy(self.y)]
            accuracy = (proba.argmax(-1).numpy() == self.y).mean()
            net.history.record("valid_loss", float(-own.clamp_min(1e-300).log().mean()))
            net.history.record("valid_accuracy", float(accuracy))
            told += f", validation accuracy {100 * accuracy:.1f} %"
        self.bar.update(len(net.history), net.max_epochs, told)


def train(
    root: str | os.PathLike,
    output: Path,
    *,
    validation_fraction: float = 0.1,
    on_error: str = "raise",
    n_jobs: int | None = None,
    console: Console | None = None,
    **recipe: Any,
) -> bool:
    """Train on a folder of clips and save the model.

    After every epoch the state of the training is written to ``<output>.checkpoint``. Stopped
    or killed, the same call goes on from there and ends with the same model.

    Parameters
    ----------
    root : str or path-like
        Folder ``<word>/*.wav``; see :func:`~mixup_tab.audio.load_audio_folder`.
    output : Path
        File for the model. A picture of its loss lies beside it, ``<output>-loss.png``.
    validation_fraction : float, default=0.1
        Share of clips that are held out to judge the model, speakers apart where they are
        known; a folder's own lists come first.
    on_error : {"raise", "skip"}, default="raise"
        What becomes of files that cannot be read.
    n_jobs : int, default=None
        Threads that read.
    console : rich Console, default=None
        Where to print.
    **recipe
        Arguments of :func:`~mixup_tab.audio.speech_classifier`.

    Returns
    -------
    bool
        False if it was stopped by Ctrl-C.

    Raises
    ------
    ValueError
        If there is nothing to train on, files cannot be read, a word has no file that can,
        or ``output`` is there and no model.
    OSError
        If the model cannot be written.
    """
    console = console or Console()
    check_writable(output)
    check_replaceable(output)
    pipeline = speech_classifier(**recipe)
    folder = load_audio_folder(root, on_error=on_error)
    seed = recipe.get("random_state") or 0
    parts = split_clips(folder, validation_fraction=validation_fraction, random_state=seed)
    console.print(_described(folder, parts), highlight=False, markup=False)
    with ProgressBar(
        "Reading", len(parts.train) + len(parts.validation), console=console
    ) as bar:
        train_part, held_out = (
            read_part(folder, rows, pipeline, on_error, n_jobs, bar)
            for rows in (parts.train, parts.validation)
        )
    list_skipped([*folder.skipped, *train_part.skipped, *held_out.skipped])
    _check_words([*folder.target, *_words_skipped(folder, root)], train_part.y)
    checkpoint = output.with_name(f"{output.name}.checkpoint")
    started = time.perf_counter()
    try:
        fit(pipeline, train_part, held_out, checkpoint, console)
    except KeyboardInterrupt:
        console.print(_stopped(checkpoint), soft_wrap=True, markup=False)
        return False
    card = _card(pipeline, recipe, train_part, held_out)
    save_speech_model(output, pipeline, card)
    picture = draw_losses(pipeline, output)
    checkpoint.unlink(missing_ok=True)
    _tell(card, parts, console)
    seconds = time.perf_counter() - started
    console.print(f"Trained in {seconds:,.0f} s; losses: {picture}", soft_wrap=True)
    console.print(f"Model: {output}", soft_wrap=True, highlight=False, markup=False)
    return True


def _words_skipped(folder: Bunch, root: str | os.PathLike) -> list[str]:
    """Return the words of the files that were left out of a folder."""
    paths = [os.path.relpath(path, os.path.expanduser(root)) for path, _ in folder.skipped]
    return [path.split(os.sep)[0] for path in paths]


def _tell(card: SpeechCard, parts: Parts, console: Console) -> None:
    """Print how well a model does on the clips that were held out, if any."""
    if card.validation_accuracy is not None:
        console.print(
            f"Validation accuracy {100 * card.validation_accuracy:.2f} % "
            f"({card.validation_clips:,} clips, {parts.told})",
            highlight=False,
            style="bold",
        )


def read_part(
    folder: Bunch,
    rows: np.ndarray,
    pipeline: Pipeline,
    on_error: str,
    n_jobs: int | None = None,
    bar: ProgressBar | None = None,
) -> Clips:
    """Read some clips of a folder as a pipeline's reader would, without the bad ones.

    Parameters
    ----------
    folder : Bunch
        From :func:`~mixup_tab.audio.load_audio_folder`.
    rows : ndarray of int
        Which clips.
    pipeline : Pipeline
        From :func:`~mixup_tab.audio.speech_classifier`.
    on_error : {"raise", "skip"}
        What becomes of files that cannot be read.
    n_jobs : int, default=None
        Threads that read.
    bar : ProgressBar, default=None
        Advanced by the clips that are read.

    Returns
    -------
    Clips
    """
    if not len(rows):
        return Clips(np.zeros((0, 0), dtype=np.int16), folder.target[rows], [])
    reader = pipeline[0]
    clips = read_clips(
        folder.data[rows],
        sample_rate=reader.sample_rate,
        seconds=reader.seconds,
        align=reader.align,
        dtype=reader.dtype,
        on_error=on_error,
        n_jobs=n_jobs,
        progress=None if bar is None else bar.advance,
    )
    return Clips(clips.waveforms, folder.target[rows][clips.kept], clips.skipped)


def fit(
    pipeline: Pipeline,
    train_part: Clips,
    held_out: Clips,
    checkpoint: Path,
    console: Console,
    what: str = "Training",
) -> None:
    """Fit the net of a pipeline on waveforms, going on from a checkpoint where there is one.

    Parameters
    ----------
    pipeline : Pipeline
        From :func:`~mixup_tab.audio.speech_classifier`.
    train_part, held_out : Clips
        What trains it; what it is looked at with.
    checkpoint : Path
        Written after every epoch.
    console : rich Console
        Where to show progress.
    what : str, default="Training"
        What the bar says.

    Raises
    ------
    ValueError
        If a word is held out that no training clip has.
    KeyboardInterrupt
        At Ctrl-C.
    """
    net, words = pipeline[-1], np.unique(train_part.y)
    _check_words(held_out.y, words)
    codes = np.searchsorted(words, held_out.y)
    with ProgressBar(what, None, console=console) as bar, propagate_interrupt():
        watch = Validation(held_out.X, codes, bar)
        own = list(net.callbacks or ())
        net.set_params(callbacks=[*own, watch, ResumeFile(checkpoint)])
        net.fit(train_part.X, train_part.y)
        net.set_params(callbacks=own or None)


def _check_words(needed: Sequence[str], trained: np.ndarray) -> None:
    lacking = np.setdiff1d(needed, trained)
    if len(lacking):
        raise ValueError(
            f"word {str(lacking[0])!r} has no training clip that can be read. Mend its files, "
            "or take its folder away."
        )


def draw_losses(pipeline: Pipeline, output: Path) -> Path:
    """Draw the loss curves of a fitted pipeline to ``<output>-loss.png``.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted by :func:`fit`.
    output : Path
        File of the model.

    Returns
    -------
    Path
        The picture.
    """
    axes = Figure(figsize=(5.5, 3.5), layout="constrained").subplots()
    curves = LossCurveDisplay.from_estimator(pipeline, ax=axes)
    picture = output.with_name(f"{output.name}-loss.png")
    content = io.BytesIO()
    curves.figure_.savefig(content, format="png", dpi=150)
    write_whole(picture, content.getvalue())
    return picture


def _card(pipeline: Pipeline, recipe: dict, train_part: Clips, held_out: Clips) -> SpeechCard:
    history = pipeline[-1].net_.history
    return SpeechCard(
        words=[str(word) for word in pipeline[-1].classes_],
        recipe=recipe,
        samples=train_part.X.shape[1],
        training_clips=len(train_part.y),
        validation_clips=len(held_out.y),
        validation_accuracy=history[-1]["valid_accuracy"] if len(held_out.y) else None,
    )


def _described(folder: Bunch, parts: Parts) -> str:
    speakers = folder.speakers
    who = "" if speakers is None else f", {len(np.unique(speakers)):,} speakers"
    left = f", {len(parts.test):,} for testing left alone" if len(parts.test) else ""
    return (
        f"{len(folder.target):,} clips of {len(folder.label_names)} words{who}: "
        f"{len(parts.train):,} for training, {len(parts.validation):,} for validation{left} "
        f"({parts.told})"
    )


def _stopped(checkpoint: Path) -> str:
    if not checkpoint.exists():
        return "Stopped before the first epoch was done."
    return f"Stopped; {checkpoint} keeps what is done. The same command goes on from there."
