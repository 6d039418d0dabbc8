"""``mixup-tab speech``: parses, calls the package. Heavy imports wait until needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import mixup_tab.cli.options as options
from mixup_tab._terminal import print_note
from mixup_tab.cli.values import pair, size

speech_app = typer.Typer(
    help="Recognise short spoken words, with nets trained with mixup.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Model = Annotated[Path, typer.Argument(help="Model file from speech train.")]
Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder of clips, <word>/*.wav.")
]
Unknown = Annotated[
    bool, typer.Option(help="Learn to answer unknown to sounds that are none of the words.")
]
UnknownFolder = Annotated[
    str, typer.Option(help="Folder in DIR of sounds that are none of the words.")
]
NoiseFolder = Annotated[str, typer.Option(help="Folder in DIR of background noise.")]
Jobs = Annotated[int, typer.Option(help="Threads that read files; -1 is one per core.")]
Labels = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="CSV file with a row per sound file and its label [the folders]."
    ),
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROLE=NAME",
        help="Column of that file for file, label, speaker, fold or split; may be repeated "
        "[usual names].",
    ),
]
LabelPattern = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX", help="Expression whose group is the label in the path of a file."
    ),
]
SpeakerPattern = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX", help="Expression whose group is the speaker in the path of a file."
    ),
]


def _folder_options(
    labels: Path | None,
    column: list[str] | None,
    label_pattern: str | None,
    speaker_pattern: str | None = None,
) -> dict[str, Any]:
    if labels and label_pattern:
        raise ValueError("--labels and --label-pattern exclude each other. Give one of them.")
    if column and not labels:
        raise ValueError("--column names a column of a table. Give the table with --labels.")
    given: dict[str, Any] = {"label": labels or label_pattern, "speaker": speaker_pattern}
    if column:
        given["columns"] = dict(pair(text) for text in column)
    return {name: value for name, value in given.items() if value is not None}


def _say_loading() -> None:
    print_note("Loading PyTorch …", sys.stderr)  # takes seconds


def train(
    directory: Directory,
    output: Annotated[Path, typer.Option(help="Where to save the model.")],
    model: Annotated[
        Literal["resnet", "bcresnet", "vgg11", "lenet"], typer.Option(help="Net.")
    ] = "resnet",
    alpha: Annotated[
        float | None, typer.Option(help="α of mixup; 0 is plain training [as recommended].")
    ] = None,
    mixing: Annotated[
        Literal["mixup", "cutmix", "mixup+cutmix", "cutout"] | None,
        typer.Option(help="How clips are mixed [as recommended]."),
    ] = None,
    level: Annotated[
        Literal["spectrogram", "waveform"] | None,
        typer.Option(help="What is mixed [as recommended]."),
    ] = None,
    augment: Annotated[
        bool, typer.Option(help="Shift, stretch, filter, mask and add noise in training.")
    ] = True,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, max=100_000, help="Passes over the clips [depends on their number]."
        ),
    ] = None,
    mixing_span: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="Share of the training during which clips are mixed: 0.1 1 starts after the "
            "first tenth [as recommended]."
        ),
    ] = None,
    members: Annotated[
        int | None,
        typer.Option(
            min=1, max=1000, help="Nets whose probabilities are averaged [as recommended]."
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of a clip.")] = 1.0,
    sample_rate: Annotated[int, typer.Option(help="Samples per second.")] = 16_000,
    validation_fraction: Annotated[
        float,
        typer.Option(
            help="Share held out, by other speakers if known; parts of the folder override it."
        ),
    ] = 0.1,
    labels: Labels = None,
    column: Column = None,
    label_pattern: LabelPattern = None,
    speaker_pattern: SpeakerPattern = None,
    unknown: Unknown = True,
    lost: Annotated[
        float, typer.Option(help="Share of validation clips of words that may be refused.")
    ] = 0.05,
    false_alarms: Annotated[
        float | None,
        typer.Option(
            help="Share of other sounds for validation that may be taken for a word; "
            "overrides --lost."
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
    """Train on a folder of clips.

    If stopped or killed, the same command resumes.
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
        typer.Option(
            help="Part of the folder's clips; auto is test if it has parts, else all."
        ),
    ] = "auto",
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for the report and predictions.csv [a new one]."),
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
    """Print accuracy and a table word by word; save a report page."""
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


def predict(
    model: Model,
    files: Annotated[
        list[str],
        typer.Argument(
            help="Sound files, or - for standard input: names, one per line or separated by "
            "zero bytes, or one clip."
        ),
    ],
    output: Annotated[Path | None, typer.Option(help="CSV file [standard output].")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Add the probabilities of all words.")
    ] = False,
    on_error: options.OnError = "raise",
    device: options.Device = "auto",
    jobs: Jobs = -1,
    size_limit: options.ModelSize = "1GB",
) -> None:
    """Write label and probability of every clip as CSV.

    Lines are written batch by batch; a name on standard input is answered when it has come. A
    file longer than three clips is searched for its surest word, and the column seconds says
    where that begins.
    """
    from mixup_tab.audio.predict import predict_to

    predict_to(
        model,
        files,
        output=output,
        every=every,
        on_error=on_error,
        device=device,
        n_jobs=jobs,
        size_limit=size(size_limit),
    )


def check(
    directory: Directory,
    output: Annotated[
        Path | None, typer.Option(help="CSV file with a line for each clip.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of a clip in training.")] = 1.0,
    sample_rate: Annotated[int, typer.Option(help="Samples per second in training.")] = 16_000,
    validation_fraction: Annotated[
        float, typer.Option(help="Share that training holds out.")
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
    """Say what a folder of clips holds, and what is wrong with it.

    Ends with the error of speech train if that would refuse the folder.
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
    clips: Annotated[int, typer.Option(min=1, max=100, help="Clips of each word.")] = 1,
    seconds: Annotated[float, typer.Option(help="Length of a clip.")] = 1.0,
    sample_rate: Annotated[int, typer.Option(help="Samples per second.")] = 16_000,
    labels: Labels = None,
    column: Column = None,
    label_pattern: LabelPattern = None,
    noise_folder: NoiseFolder = "_background_noise_",
    on_error: options.OnError = "raise",
    seed: options.Seed = 0,
    force: options.Force = False,
) -> None:
    """Write a page to hear and see what training does to clips."""
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
    typer.echo(f"Written: {page}. Open it in a browser; it works offline.")


def listen(
    model: Model,
    source: Annotated[
        str | None,
        typer.Argument(
            help="A sound file of any length, or - for standard input: raw 16-bit "
            "little-endian samples of one channel, or a WAV file [the microphone].",
        ),
    ] = None,
    sample_rate: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1_000_000,
            help="Samples per second of raw samples or the microphone [the model's].",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Least probability of a word, less that of unknown [the model's]."),
    ] = None,
    step: Annotated[
        float | None,
        typer.Option(help="Seconds between two predictions [a tenth of a clip, at most 0.1]."),
    ] = None,
    smoothing: Annotated[
        int, typer.Option(min=1, max=1000, help="Predictions that are averaged.")
    ] = 5,
    refractory: Annotated[float, typer.Option(help="Least seconds between two words.")] = 1.0,
    microphone: Annotated[
        str | None,
        typer.Option(help="Name or number, as python -m sounddevice lists them."),
    ] = None,
    device: options.Device = "auto",
    size_limit: options.ModelSize = "1GB",
) -> None:
    """Write every word that is heard as CSV, at once.

    A line has second, word and probability.

    A microphone needs the extra live, or another recorder:
    arecord -t raw -f S16_LE -c 1 -r 16000 | mixup-tab speech listen words.mixup -
    """
    from mixup_tab.audio.listening import listen_to

    listen_to(
        model,
        source,
        sample_rate=sample_rate,
        threshold=threshold,
        step=step,
        smoothing=smoothing,
        refractory=refractory,
        microphone=microphone,
        device=device,
        size_limit=size(size_limit),
    )


for function, example in (
    (check, "check clips"),
    (train, "train clips --output words.mixup"),
    (predict, "predict words.mixup *.wav"),
    (evaluate, "evaluate words.mixup clips"),
    (preview, "preview clips --output preview.html"),
    (listen, "listen words.mixup meeting.wav"),
):
    speech_app.command()(options.as_command(function, f"speech {example}"))
