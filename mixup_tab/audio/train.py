"""``mixup-tab speech train``: from a folder of clips to a saved model."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch
from skorch.callbacks import Callback

from mixup_tab._files import write_whole
from mixup_tab._terminal import ProgressBar, list_skipped, make_console, print_note
from mixup_tab.audio.answers import UNKNOWN
from mixup_tab.audio.findings import (
    check_names,
    check_words,
    clip_table,
    find_faults,
    summarize,
)
from mixup_tab.audio.folders import load_audio_folder
from mixup_tab.audio.negatives import as_recordings, read_noise, with_unknown
from mixup_tab.audio.other_sounds import add_others, with_threshold
from mixup_tab.audio.recipe import speech_classifier
from mixup_tab.audio.rejection import check_share
from mixup_tab.audio.saving import SpeechCard, save_speech_model
from mixup_tab.audio.splitting import ClipSplit, LabelledClips, read_rows, split_clips
from mixup_tab.audio.survey import FACTS
from mixup_tab.displays import LossCurveDisplay
from mixup_tab.persistence.model_file import check_output
from mixup_tab.training.resume_file import ResumeFile
from mixup_tab.training.state import mixed_epochs
from mixup_tab.training.stopping import propagate_interrupt


def train(
    root: str | os.PathLike,
    output: Path,
    *,
    validation_fraction: float = 0.1,
    folder_options: Mapping[str, Any] | None = None,
    unknown: bool = True,
    lost: float = 0.05,
    false_alarms: float | None = None,
    on_error: str = "raise",
    n_jobs: int | None = None,
    overwrite: bool = False,
    console: Console | None = None,
    **recipe: Any,
) -> bool:
    """Train on a folder of clips and save the model; return False if stopped by Ctrl-C.

    With ``unknown``, the net has one more class, for other sounds: those of the folder
    ``unknown``, noise, and sounds made from the clips. A threshold is then chosen on validation
    clips: one that rejects a share ``lost`` of the clips of words, or, if that is given, takes
    a share ``false_alarms`` of other sounds for a word.

    The state of training is saved after every epoch in ``<output>.resume``. If training is
    stopped or killed, the same call resumes it and ends with the same model. A picture of the
    losses is saved as ``<output>-loss.png``. ``folder_options`` are parameters of
    :func:`~mixup_tab.audio.load_audio_folder`, ``recipe`` are those of
    :func:`~mixup_tab.audio.speech_classifier`; the other options are those of the command.
    Raises ValueError if there is nothing to train on, files cannot be read, a word has no
    readable file, no threshold reaches the rate, or ``output`` exists, unless it is a model and
    ``overwrite`` is True.
    """
    console = console or make_console()
    check_output(output, overwrite)
    check_share("lost", lost)
    check_share("false_alarms", 0.0 if false_alarms is None else false_alarms)
    pipeline = speech_classifier(**recipe)
    print_note("Looking for clips …", sys.stderr)
    options = {"min_labels": 1 if unknown else 2} | dict(folder_options or {})
    folder = load_audio_folder(root, on_error=on_error, **options)
    for note in folder.notes:
        console.print(note, soft_wrap=True)
    folder = with_unknown(folder, UNKNOWN) if unknown else folder
    check_names(folder.label_names, unknown)
    seed = recipe.get("random_state") or 0
    split = split_clips(folder, validation_fraction=validation_fraction, random_state=seed)
    console.print(_summary(folder, split, unknown), soft_wrap=True)
    facts = np.zeros(len(folder.data), FACTS)
    training, validation = _read(folder, split, pipeline, on_error, n_jobs, console, facts)
    share = len(split.validation) / (len(split.train) + len(split.validation))
    noise = read_noise(folder.noise, pipeline[0], share, on_error)
    list_skipped([*folder.skipped, *training.skipped, *validation.skipped, *noise.skipped])
    table = clip_table(folder, facts)
    words = table[~table["path"].isin(folder.unknown)]  # few other sounds are no fault
    read = pipeline[0].seconds, pipeline[0].sample_rate
    for finding in summarize(find_faults(words, folder, *read, unknown)):
        console.print(f"- {finding}", soft_wrap=True)
    check_words(table, split.train, folder.lost_labels, unknown)
    if len(noise.training):
        pipeline = speech_classifier(**recipe, noise=as_recordings(noise.training))
    if unknown:
        training, validation, trained, others = add_others(training, validation, noise, seed)
        console.print(f"Other sounds for training: {trained}.", soft_wrap=True)
    resume_file = output.with_name(f"{output.name}.resume")
    started = time.perf_counter()
    try:
        fit(pipeline, training, validation, resume_file, console)
    except KeyboardInterrupt:
        console.print(_stopped(resume_file), soft_wrap=True)
        return False
    picture = draw_losses(pipeline, output)
    found = None
    if unknown:
        name, net = pipeline.steps[-1]
        net, found, sentence = with_threshold(net, validation.X, others, lost, false_alarms)
        pipeline.steps[-1] = name, net
        console.print(sentence, soft_wrap=True)
    card = _card(pipeline, recipe, training, validation)
    if found is not None:
        card = card._replace(**found._asdict())
    save_speech_model(output, pipeline, card)
    resume_file.unlink(missing_ok=True)
    _print_result(card, split, console)
    seconds = time.perf_counter() - started
    console.print(f"Trained in {seconds:,.0f} s; losses: {picture}", soft_wrap=True)
    console.print(f"Model: {output}", soft_wrap=True)
    return True


def _summary(folder: Bunch, split: ClipSplit, unknown: bool) -> str:
    words = [word for word in folder.label_names if not unknown or word != UNKNOWN]
    known, speakers = np.isin(folder.target, words), folder.speakers
    what = f"{known.sum():,} clips of {len(words)} word{'s' * (len(words) != 1)}"
    if not known.all():
        what += f" and {(~known).sum():,} of other sounds"
    if speakers is not None:
        what += f", {len(np.unique(speakers)):,} speakers"
    unused = f", {len(split.test):,} for testing unused" if len(split.test) else ""
    return (
        f"{what}: {len(split.train):,} for training, {len(split.validation):,} for "
        f"validation{unused} ({split.description})"
    )


def _stopped(resume_file: Path) -> str:
    if not resume_file.exists():
        return "Stopped before the end of the first epoch."
    return f"Stopped; the state is saved in {resume_file}. Run the same command to resume."


def _card(
    pipeline: Pipeline, recipe: dict, training: LabelledClips, validation: LabelledClips
) -> SpeechCard:
    clips = len(validation.y)
    right = pipeline[-1].predict(validation.X) == validation.y if clips else None
    return SpeechCard(
        words=[str(word) for word in pipeline[-1].classes_],
        recipe=recipe,
        samples=training.X.shape[1],
        training_clips=len(training.y),
        validation_clips=clips,
        validation_accuracy=None if right is None else float(right.mean()),
    )


def _print_result(card: SpeechCard, split: ClipSplit, console: Console) -> None:
    if card.validation_accuracy is not None:
        clips = f"{card.validation_clips:,} clip{'s' * (card.validation_clips != 1)}"
        refused = "" if card.threshold is None else f"; {UNKNOWN!r} counts as wrong"
        console.print(
            f"Validation accuracy {100 * card.validation_accuracy:.2f} % "
            f"({clips}, {split.description}{refused})",
            style="bold",
            soft_wrap=True,
        )


def _read(
    folder: Bunch,
    split: ClipSplit,
    pipeline: Pipeline,
    on_error: str,
    n_jobs: int | None,
    console: Console,
    facts: np.ndarray,
) -> tuple[LabelledClips, LabelledClips]:
    """Return the clips for training and those for validation; fill their rows of facts."""
    total = len(split.train) + len(split.validation)
    with ProgressBar("clip read", total, console=console) as bar:
        training, validation = (
            read_rows(folder, rows, pipeline, on_error, n_jobs, bar.advance, facts)
            for rows in (split.train, split.validation)
        )
    return training, validation


# ---------------------------------------------------------------------------- training


class Validation(Callback):
    """Record loss and accuracy on held-out clips, if any, after every epoch.

    Nothing is chosen by them. ``y`` are class codes.
    """

    def __init__(self, X: np.ndarray, y: np.ndarray, bar: ProgressBar) -> None:
        self.X, self.y, self.bar = X, y, bar

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Predict the held-out clips."""
        done = len(net.history)
        epochs = mixed_epochs(net.mixing_span, net.max_epochs, net.first_cycle)
        mixed = np.max(net.alpha) > 0 and epochs[done - 1]
        remark = f"epoch {done} of {net.max_epochs}: "
        remark += "loss on mixed clips" if mixed else "training loss"
        remark += f" {net.history[-1, 'train_loss']:.3f}"
        if len(self.X):
            outputs = torch.from_numpy(net.raw_outputs(self.X)).double()
            proba = outputs.softmax(-1).mean(0)  # over the members
            own = proba[torch.arange(len(self.y)), torch.from_numpy(self.y)]
            accuracy = (proba.argmax(-1).numpy() == self.y).mean()
            net.history.record("valid_loss", float(-own.clamp_min(1e-300).log().mean()))
            net.history.record("valid_accuracy", float(accuracy))
            remark += f", validation accuracy {100 * accuracy:.1f} %"
        self.bar.update(done, net.max_epochs, remark)


class StepProgress(Callback):
    """Moves a bar of epochs with every training step.

    The steps of the first epoch are counted in words too, for there is no result to show yet.
    Where there is no terminal, that is a line at most every half a minute.
    """

    def __init__(self, bar: ProgressBar) -> None:
        self.bar = bar

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, **kwargs: Any) -> None:
        """Count the steps of the epoch."""
        size = net.batch_size if net.batch_size > 0 else len(dataset_train)
        self.steps_, self.step_ = -(-len(dataset_train) // size), 0
        self._show(net)

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Move the bar."""
        if training:
            self.step_ += 1
            self._show(net)

    def _show(self, net: Any) -> None:
        done = len(net.history) - 1
        remark = "" if done else f"first epoch: step {self.step_:,} of {self.steps_:,}"
        self.bar.update(done + self.step_ / self.steps_, net.max_epochs, remark, passing=True)


def fit(
    pipeline: Pipeline,
    training: LabelledClips,
    validation: LabelledClips,
    resume_file: Path,
    console: Console,
) -> None:
    """Fit the net of a pipeline on waveforms, resuming from a file if it exists.

    The file is written after every epoch. KeyboardInterrupt is passed on.
    """
    net = pipeline[-1]
    codes = np.searchsorted(np.unique(training.y), validation.y)
    with ProgressBar("epoch", console=console) as bar, propagate_interrupt():
        own = list(net.callbacks or ())
        callbacks = [Validation(validation.X, codes, bar), ResumeFile(resume_file)]
        callbacks.append(StepProgress(bar))
        net.set_params(callbacks=[*own, *callbacks])
        net.fit(training.X, training.y)
        net.set_params(callbacks=own or None)


def draw_losses(pipeline: Pipeline, output: Path) -> Path:
    """Save the loss curves of a fitted pipeline as ``<output>-loss.png``; return that path."""
    # A figure of its own: pyplot would keep it open.
    axes = Figure(figsize=(5.5, 3.5), layout="constrained").subplots()
    curves = LossCurveDisplay.from_estimator(pipeline, ax=axes)
    picture = output.with_name(f"{output.name}-loss.png")
    content = io.BytesIO()
    curves.figure_.savefig(content, format="png", dpi=150)
    write_whole(picture, content.getvalue())
    return picture
