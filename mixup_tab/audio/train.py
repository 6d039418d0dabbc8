"""``mixup-tab speech train``: from a folder of clips to a saved model."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Mapping, Sequence
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
from mixup_tab.audio.findings import clip_table, find_faults, summarize
from mixup_tab.audio.folders import load_audio_folder
from mixup_tab.audio.negatives import SILENCE, as_recordings, read_noise, with_unknown
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

    With ``unknown``, the net has one more class, for sounds that are none of the words: those
    of the folder ``unknown``, noise, and sounds made from the clips. A threshold is then chosen
    on validation clips: one that refuses a share ``lost`` of the clips of words, or, if that is
    stated, takes a share ``false_alarms`` of other sounds for a word.

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
    _check_names(folder.label_names, unknown)
    seed = recipe.get("random_state") or 0
    split = split_clips(folder, validation_fraction=validation_fraction, random_state=seed)
    console.print(_summary(folder, split))
    facts = np.zeros(len(folder.data), FACTS)
    training, validation = _read(folder, split, pipeline, on_error, n_jobs, console, facts)
    share = len(split.validation) / (len(split.train) + len(split.validation))
    noise = read_noise(folder.noise, pipeline[0], share, on_error)
    list_skipped([*folder.skipped, *training.skipped, *validation.skipped, *noise.skipped])
    _print_findings(folder, facts, pipeline, console)
    _check_words(folder, training, unknown)
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
    card = _card(pipeline, recipe, training, validation)
    if unknown:
        name, net = pipeline.steps[-1]
        net, found, sentence = with_threshold(net, validation.X, others, lost, false_alarms)
        pipeline.steps[-1] = name, net
        console.print(sentence)
        if found is not None:
            card = card._replace(**found._asdict())
    save_speech_model(output, pipeline, card)
    resume_file.unlink(missing_ok=True)
    _print_result(card, split, console)
    seconds = time.perf_counter() - started
    console.print(f"Trained in {seconds:,.0f} s; losses: {picture}", soft_wrap=True)
    console.print(f"Model: {output}", soft_wrap=True)
    return True


def _check_names(words: Sequence[str], unknown: bool) -> None:
    for word in words:
        if str(word).encode(errors="ignore").decode() != word:
            raise ValueError(f"word {str(word)!r} is not UTF-8. Rename its folder.")
        if unknown and word.casefold() == UNKNOWN != word:
            raise ValueError(
                f"the folder {word!r} is easily mistaken for {UNKNOWN!r}, the answer to sounds "
                f"that are none of the words. Rename it to {UNKNOWN!r} if it holds such "
                "sounds; if it is a word, use --no-unknown."
            )
    if unknown and [*words] == [UNKNOWN]:
        raise ValueError(
            "there are only sounds that are none of the words. Add a folder with clips of a "
            "word."
        )


def _summary(folder: Bunch, split: ClipSplit) -> str:
    speakers = folder.speakers
    who = "" if speakers is None else f", {len(np.unique(speakers)):,} speakers"
    unused = f", {len(split.test):,} for testing unused" if len(split.test) else ""
    return (
        f"{len(folder.target):,} clips of {len(folder.label_names)} words{who}: "
        f"{len(split.train):,} for training, {len(split.validation):,} for validation{unused} "
        f"({split.description})"
    )


def _stopped(resume_file: Path) -> str:
    if not resume_file.exists():
        return "Stopped before the end of the first epoch."
    return f"Stopped; the state is saved in {resume_file}. Run the same command to resume."


def _card(
    pipeline: Pipeline, recipe: dict, training: LabelledClips, validation: LabelledClips
) -> SpeechCard:
    history = pipeline[-1].net_.history
    return SpeechCard(
        words=[str(word) for word in pipeline[-1].classes_],
        recipe=recipe,
        samples=training.X.shape[1],
        training_clips=len(training.y),
        validation_clips=len(validation.y),
        validation_accuracy=history[-1]["valid_accuracy"] if len(validation.y) else None,
    )


def _print_result(card: SpeechCard, split: ClipSplit, console: Console) -> None:
    if card.validation_accuracy is not None:
        console.print(
            f"Validation accuracy {100 * card.validation_accuracy:.2f} % "
            f"({card.validation_clips:,} clips, {split.description})",
            style="bold",
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


def _print_findings(
    folder: Bunch, facts: np.ndarray, pipeline: Pipeline, console: Console
) -> None:
    """Print what ``speech check`` would say about the clips."""
    reader, table = pipeline[0], clip_table(folder, facts)
    table = table[~table["path"].isin(folder.unknown)]  # few of them are no fault
    for finding in summarize(find_faults(table, folder, reader.seconds, reader.sample_rate)):
        console.print(f"- {finding}", soft_wrap=True)


def _check_words(folder: Bunch, training: LabelledClips, unknown: bool) -> None:
    """Raise ValueError unless every word has a clip that can be learned from."""
    free = {UNKNOWN} if unknown else set()  # is also made
    lacking = {*folder.target, *folder.lost_labels} - {*training.y} - free
    if lacking:
        raise ValueError(
            f"word {str(min(lacking))!r} has no training clip that can be read. Fix its files, "
            "or remove its folder."
        )
    heard = (training.X[:, :1] != training.X).any(axis=1)
    silent = {*training.y} - {*training.y[heard]} - free - {*SILENCE}
    if silent:
        raise ValueError(
            f"all training clips of the word {str(min(silent))!r} are silent. Record them "
            "again, or remove its folder."
        )


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
