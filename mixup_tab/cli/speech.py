"""``mixup-tab speech``: parses, calls the package. Heavy imports wait until needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mixup_tab.cli.plain_errors import errors_in_plain_words
from mixup_tab.cli.values import listed, number

speech_app = typer.Typer(
    help="Recognise short spoken words, with nets trained with mixup.", no_args_is_help=True
)

Model = Annotated[Path, typer.Argument(help="Model file from speech train.")]
Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder of clips, <word>/*.wav.")
]
Device = Annotated[str, typer.Option(help="'cpu', 'cuda', 'mps' or 'auto'.")]
OnError = Annotated[
    str, typer.Option(help="Unreadable files: 'raise' an error, or 'skip' and list them.")
]
Jobs = Annotated[int, typer.Option(help="Threads that read files; -1 is one per core.")]


@speech_app.command()
def train(
    directory: Directory,
    output: Annotated[Path, typer.Option(help="Where to save the model.")],
    model: Annotated[
        str, typer.Option(help="'resnet', 'bcresnet', 'vgg11' or 'lenet'.")
    ] = "resnet",
    alpha: Annotated[
        float | None, typer.Option(help="α of mixup; 0 is plain training \\[as recommended].")
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
        bool, typer.Option(help="Shift, stretch, filter, mask and add noise in training.")
    ] = True,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Passes over the clips \\[depends on their number]."),
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
            help="Share held out, by other speakers if known; the folder's lists go first."
        ),
    ] = 0.1,
    on_error: OnError = "raise",
    device: Device = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    jobs: Jobs = -1,
) -> None:
    """Train on a folder of clips; if stopped or killed, the same command resumes."""
    chosen: dict[str, Any] = {
        "alpha": alpha,
        "mixing": mixing,
        "level": level,
        "max_epochs": epochs,
        "mixing_span": mixing_span,
        "n_estimators": members,
    }
    with errors_in_plain_words():
        from mixup_tab.audio.train import train

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
    model: Model,
    directory: Directory,
    part: Annotated[
        str,
        typer.Option(
            help="'train', 'validation' or 'test' of the folder's lists, 'all', or 'auto': "
            "'test' if there are lists, else 'all'."
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
    """Print accuracy, a table word by word and the confusion matrix; save a report page."""
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
    model: Model,
    files: Annotated[
        list[str],
        typer.Argument(
            help="Sound files, or - for standard input: names, one per line or separated by "
            "zero bytes, or one clip."
        ),
    ],
    output: Annotated[Path | None, typer.Option(help="CSV file \\[standard output].")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Add the probabilities of all words.")
    ] = False,
    on_error: OnError = "raise",
    device: Device = "auto",
    jobs: Jobs = -1,
) -> None:
    """Write label and probability of every clip as CSV, batch by batch."""
    with errors_in_plain_words():
        from mixup_tab.audio.predict import predict_to

        predict_to(
            model,
            files,
            output=output,
            every=every,
            on_error=on_error,
            device=device,
            n_jobs=jobs,
        )


@speech_app.command()
def benchmark(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="Folder of clips \\[Speech Commands, downloaded]."),
    ] = None,
    nets: Annotated[
        list[str] | None,
        typer.Option(help="With commas between \\[lenet,vgg11; also bcresnet, resnet]."),
    ] = None,
    alpha: Annotated[
        list[str] | None, typer.Option(help="Values of α beside 0 \\[0.1,0.2].")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds, from --seed on.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="The paper has 30 \\[30; 60 below 10,000 clips].")
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="The paper has 0.003 \\[0.003; 0.001 below 10,000 clips]."),
    ] = None,
    width: Annotated[
        float | None,
        typer.Option(
            help="Channels of VGG-11, 1 is the paper's \\[1; 0.25 below 10,000 clips]."
        ),
    ] = None,
    device: Device = "auto",
    data_home: Annotated[
        Path | None, typer.Option(help="Folder of data sets \\[kept for next time].")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the run; an unfinished one is gone on with.")
    ] = None,
    jobs: Jobs = -1,
) -> None:
    """Figure 4 of the mixup paper: LeNet and VGG-11, plain training and mixup."""
    with errors_in_plain_words():
        from mixup_tab.evaluation.speech.figure_report import run

        finished = run(
            directory,
            nets=listed(nets) or ["lenet", "vgg11"],
            alphas=[number(text) for text in listed(alpha) or ["0.1", "0.2"]],
            seeds=seeds,
            seed=seed,
            epochs=epochs,
            learning_rate=learning_rate,
            width=width,
            device=device,
            data_home=data_home,
            output=output,
            n_jobs=jobs,
        )
    if not finished:
        raise typer.Exit(130)


@speech_app.command()
def speed(
    clips: Annotated[
        int, typer.Option(min=100, help="Clips of the measurement of memory.")
    ] = 10_000,
    pairs: Annotated[int, typer.Option(min=1, help="Runs of each side.")] = 5,
) -> None:
    """Measure spectrograms, batches, one prediction and memory, on this machine."""
    with errors_in_plain_words():
        from mixup_tab.evaluation.speech import speed_report

        speed_report.run(clips=clips, pairs=pairs)
