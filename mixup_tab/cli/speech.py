"""``mixup-tab speech``: its commands for folders of clips. Heavy imports are lazy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import mixup_tab.cli.options as options
from mixup_tab._terminal import print_note
from mixup_tab.cli.speech_predict import Jobs, Model, listen, predict
from mixup_tab.cli.values import pair, size

speech_app = typer.Typer(
    help="Recognise short spoken words with nets trained with mixup.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder of clips, <word>/*.wav.")
]
Unknown = Annotated[bool, typer.Option(help="Learn to answer unknown to other sounds.")]
UnknownFolder = Annotated[
    str, typer.Option(help="Folder in DIR of sounds other than the words.")
]
NoiseFolder = Annotated[str, typer.Option(help="Folder in DIR of background noise.")]
Seconds = Annotated[float, typer.Option(help="Length of a clip in seconds.")]
SampleRate = Annotated[int, typer.Option(help="Samples per second.")]
Labels = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="CSV file with a row per sound file and its label [folder names]."
    ),
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROLE=NAME",
        help="Column of --labels for file, label, speaker, fold or split, such as label=word; "
        "repeat for more [common names].",
    ),
]
LabelPattern = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX", help="Regular expression whose group is the label in a file's path."
    ),
]
SpeakerPattern = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX", help="Regular expression whose group is the speaker in a file's path."
    ),
]


def _folder_options(
    labels: Path | None,
    column: list[str] | None,
    label_pattern: str | None,
    speaker_pattern: str | None = None,
) -> dict[str, Any]:
    if labels and label_pattern:
        raise ValueError("--labels and --label-pattern cannot be combined. Use one of them.")
    if column and not labels:
        raise ValueError("--column needs a table of labels. Add --labels.")
    given: dict[str, Any] = {"label": labels or label_pattern, "speaker": speaker_pattern}
    if column:
        given["columns"] = dict(pair(text) for text in column)
    return {name: value for name, value in given.items() if value is not None}


def _say_loading() -> None:
    print_note("Loading PyTorch …", sys.stderr)  # takes seconds


def train(
    directory: Directory,
    output: Annotated[Path, typer.Option(help="File for the model.")],
    model: Annotated[
        Literal["resnet", "bcresnet", "vgg11", "lenet"], typer.Option(help="Architecture.")
    ] = "resnet",
    alpha: Annotated[
        float | None, typer.Option(help="α of mixup; 0 is plain training [recommended].")
    ] = None,
    mixing: Annotated[
        Literal["mixup", "cutmix", "mixup+cutmix", "cutout"] | None,
        typer.Option(help="How clips are mixed [recommended]."),
    ] = None,
    level: Annotated[
        Literal["spectrogram", "waveform"] | None,
        typer.Option(help="What is mixed [recommended]."),
    ] = None,
    augment: Annotated[
        bool, typer.Option(help="Shift, stretch, filter and mask clips and add noise.")
    ] = True,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, help="Training epochs [by the number of clips]."),
    ] = None,
    mixing_span: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="When clips are mixed: 0.1 1 starts after a tenth of the training and goes to "
            "its end [recommended]."
        ),
    ] = None,
    members: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Nets to average [recommended].")
    ] = None,
    seconds: Seconds = 1.0,
    sample_rate: SampleRate = 16_000,
    validation_fraction: Annotated[
        float,
        typer.Option(
            help="Fraction held out, by speaker if known; a validation part of DIR replaces it."
        ),
    ] = 0.1,
    labels: Labels = None,
    column: Column = None,
    label_pattern: LabelPattern = None,
    speaker_pattern: SpeakerPattern = None,
    unknown: Unknown = True,
    lost: Annotated[
        float, typer.Option(help="Fraction of validation words that may be taken for unknown.")
    ] = 0.05,
    false_alarms: Annotated[
        float | None,
        typer.Option(
            help="Fraction of other validation sounds that may be taken for a word; overrides "
            "--lost."
        ),
    ] = None,
    unknown_folder: UnknownFolder = "_unknown_",
    noise_folder: NoiseFolder = "_background_noise_",
    on_error: options.OnError = "raise",
    device: options.Device = "auto",
    seed: options.Seed = 0,
    jobs: Jobs = -1,
    force: options.Force = False,
) -> None:
    """Train a net on a folder of clips and save it.

    If it is stopped, run the same command to resume.
    """
    chosen: dict[str, Any] = {
        "alpha": alpha,
        "mixing": mixing,
        "level": level,
        "max_epochs": epochs,
        "mixing_span": mixing_span,
        "n_estimators": members,
    }
    _say_loading()
    from mixup_tab.audio.train import train

    finished = train(
        directory,
        output,
        validation_fraction=validation_fraction,
        folder_options=_folder_options(labels, column, label_pattern, speaker_pattern)
        | {"unknown": unknown_folder, "noise": noise_folder},
        unknown=unknown,
        lost=lost,
        false_alarms=false_alarms,
        on_error=on_error,
        n_jobs=jobs,
        overwrite=force,
        model=model,
        augment=augment,
        seconds=seconds,
        sample_rate=sample_rate,
        device=device,
        random_state=seed,
        **{name: value for name, value in chosen.items() if value is not None},
    )
    if not finished:
        raise typer.Exit(130)


def evaluate(
    model: Model,
    directory: Directory,
    part: Annotated[
        Literal["auto", "all", "train", "validation", "test"],
        typer.Option(help="Clips to use; auto is the test part if there is one, else all."),
    ] = "auto",
    output: Annotated[
        Path | None, typer.Option(help="Folder for the report and predictions.csv [a new one].")
    ] = None,
    labels: Labels = None,
    column: Column = None,
    label_pattern: LabelPattern = None,
    unknown_folder: UnknownFolder = "_unknown_",
    noise_folder: NoiseFolder = "_background_noise_",
    on_error: options.OnError = "raise",
    device: options.Device = "auto",
    jobs: Jobs = -1,
    size_limit: options.ModelSize = "1GB",
) -> None:
    """Print accuracy overall and by word; save a report page."""
    _say_loading()
    from mixup_tab.audio.evaluation_report import evaluate

    evaluate(
        model,
        directory,
        part=part,
        output=output,
        folder_options=_folder_options(labels, column, label_pattern)
        | {"unknown": unknown_folder, "noise": noise_folder},
        on_error=on_error,
        device=device,
        n_jobs=jobs,
        size_limit=size(size_limit),
    )


def check(
    directory: Directory,
    output: Annotated[
        Path | None, typer.Option(help="CSV file to write, with a row per clip.")
    ] = None,
    seconds: Seconds = 1.0,
    sample_rate: SampleRate = 16_000,
    validation_fraction: Annotated[
        float, typer.Option(help="Fraction that training holds out.")
    ] = 0.1,
    labels: Labels = None,
    column: Column = None,
    label_pattern: LabelPattern = None,
    speaker_pattern: SpeakerPattern = None,
    unknown: Unknown = True,
    unknown_folder: UnknownFolder = "_unknown_",
    noise_folder: NoiseFolder = "_background_noise_",
    on_error: options.OnError = "raise",
    jobs: Jobs = -1,
) -> None:
    """Summarize a folder of clips and list its problems.

    Where speech train would stop with an error, this ends with the same error.
    """
    _say_loading()
    from mixup_tab.audio.check import check

    check(
        directory,
        output=output,
        seconds=seconds,
        sample_rate=sample_rate,
        validation_fraction=validation_fraction,
        folder_options=_folder_options(labels, column, label_pattern, speaker_pattern)
        | {"unknown": unknown_folder, "noise": noise_folder},
        unknown=unknown,
        on_error=on_error,
        n_jobs=jobs,
    )


def preview(
    directory: Directory,
    output: Annotated[Path, typer.Option(help="Page to write.")] = Path("preview.html"),
    clips: Annotated[int, typer.Option(min=1, max=100, help="Clips per word.")] = 1,
    seconds: Seconds = 1.0,
    sample_rate: SampleRate = 16_000,
    labels: Labels = None,
    column: Column = None,
    label_pattern: LabelPattern = None,
    noise_folder: NoiseFolder = "_background_noise_",
    on_error: options.OnError = "raise",
    seed: options.Seed = 0,
    force: options.Force = False,
) -> None:
    """Write a page to hear and see augmented and mixed clips."""
    _say_loading()
    from mixup_tab.audio.preview import write_preview

    page = write_preview(
        directory,
        output,
        clips=clips,
        seconds=seconds,
        sample_rate=sample_rate,
        folder_options=_folder_options(labels, column, label_pattern) | {"noise": noise_folder},
        on_error=on_error,
        random_state=seed,
        overwrite=force,
    )
    typer.echo(f"Wrote {page}. Open it in a browser; it works offline.")


for function, example in (
    (check, "check clips"),
    (train, "train clips --output words.mixup"),
    (predict, "predict words.mixup *.wav"),
    (evaluate, "evaluate words.mixup clips"),
    (preview, "preview clips --output preview.html"),
    (listen, "listen words.mixup meeting.wav"),
):
    speech_app.command()(options.as_command(function, f"speech {example}"))
