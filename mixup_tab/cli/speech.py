"""``mixup-tab speech``: parses, calls the package. Heavy imports wait until needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mixup_tab.cli.plain_errors import errors_in_plain_words

speech_app = typer.Typer(
    help="Tell short spoken words apart, with nets trained with mixup.", no_args_is_help=True
)

Device = Annotated[str, typer.Option(help="'cpu', 'cuda', 'mps' or 'auto'.")]
OnError = Annotated[
    str, typer.Option(help="Files that cannot be read: 'raise', or 'skip' and list them.")
]
Jobs = Annotated[int, typer.Option(help="Threads that read; -1 is one per core.")]


@speech_app.command()
def train(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of clips, <word>/*.wav.")
    ],
    output: Annotated[Path, typer.Option(help="File for the model.")],
    model: Annotated[
        str, typer.Option(help="'resnet', 'bcresnet', 'vgg11' or 'lenet'.")
    ] = "resnet",
    alpha: Annotated[
        float | None, typer.Option(help="α of mixup, 0 is plain training \\[as recommended].")
    ] = None,
    mixing: Annotated[
        str | None,
        typer.Option(help="'mixup', 'cutmix', 'mixup+cutmix' or 'cutout' \\[as recommended]."),
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(help="What is mixed: 'spectrogram' or 'waveform' \\[as recommended]."),
    ] = None,
    augment: Annotated[
        bool, typer.Option(help="Shift, stretch, mask and add noise in training.")
    ] = True,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the clips \\[by their number].")
    ] = None,
    mixing_span: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="Share of the training during which clips are mixed: 0.1 1 starts after the "
            "first tenth \\[as recommended]."
        ),
    ] = None,
    members: Annotated[
        int | None,
        typer.Option(min=1, help="Nets whose probabilities are averaged \\[as recommended]."),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of a clip.")] = 1.0,
    sample_rate: Annotated[int, typer.Option(help="Samples per second.")] = 16_000,
    validation_fraction: Annotated[
        float,
        typer.Option(
            help="Share held out, speakers apart if known; the folder's own lists come first."
        ),
    ] = 0.1,
    on_error: OnError = "raise",
    device: Device = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    jobs: Jobs = -1,
) -> None:
    """Train on a folder of clips; stopped or killed, the same command goes on."""
    chosen = {
        "alpha": alpha,
        "mixing": mixing,
        "level": level,
        "max_epochs": epochs,
        "mixing_span": mixing_span,
        "n_estimators": members,
    }
    with errors_in_plain_words():
        from mixup_tab.audio.training import train

        finished = train(
            directory,
            output,
            validation_fraction=validation_fraction,
            on_error=on_error,
            n_jobs=jobs,
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


@speech_app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="What speech train has written.")],
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of clips, <word>/*.wav.")
    ],
    part: Annotated[
        str,
        typer.Option(
            help="'train', 'validation' or 'test' of the folder's lists, 'all', or 'auto': "
            "test where there are lists, else all."
        ),
    ] = "auto",
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for the report and predictions.csv \\[a new one]."),
    ] = None,
    on_error: OnError = "raise",
    device: Device = "auto",
    jobs: Jobs = -1,
) -> None:
    """Print accuracy, a table word by word and the confusion matrix; write a report page."""
    with errors_in_plain_words():
        from mixup_tab.audio.judging_report import evaluate

        evaluate(
            model,
            directory,
            part=part,
            output=output,
            on_error=on_error,
            device=device,
            n_jobs=jobs,
        )


@speech_app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="What speech train has written.")],
    files: Annotated[
        list[str],
        typer.Argument(
            help="Sound files, or - for standard input: names line by line or with zero bytes "
            "between, or one clip."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="CSV to write \\[standard output].")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Probabilities of all words.")] = False,
    on_error: OnError = "raise",
    device: Device = "auto",
    jobs: Jobs = -1,
) -> None:
    """Write label and probability of every clip as CSV, batch by batch."""
    with errors_in_plain_words():
        from mixup_tab.audio.predicting import predict_to

        predict_to(
            model,
            files,
            output=output,
            every=every,
            on_error=on_error,
            device=device,
            n_jobs=jobs,
        )
