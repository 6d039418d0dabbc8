"""``mixup-tab speech predict`` and ``listen``: words in sounds. Heavy imports are lazy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import mixup_tab.cli.options as options
from mixup_tab.cli.values import size

Model = Annotated[Path, typer.Argument(help="Model saved by speech train.")]
Jobs = Annotated[int, typer.Option(help="Threads for reading files; -1 uses all cores.")]


def predict(
    model: Model,
    files: Annotated[
        list[str],
        typer.Argument(
            help="Sound files; or - for standard input: file names, one per line or separated "
            "by zero bytes, or a clip."
        ),
    ],
    output: Annotated[Path | None, typer.Option(help="CSV file [standard output].")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also write the probability of every word.")
    ] = False,
    on_error: options.OnError = "raise",
    device: options.Device = "auto",
    jobs: Jobs = -1,
    size_limit: options.ModelSize = "1GB",
) -> None:
    """Write the label and probability of every clip as CSV.

    Lines are written batch by batch, and names on standard input are answered as they come in.
    A file longer than three clips is searched for its most certain word; the column seconds
    says where that begins.
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


def listen(
    model: Model,
    source: Annotated[
        str | None,
        typer.Argument(
            help="Sound file of any length; or - for standard input: raw 16-bit little-endian "
            "mono samples, or a WAV file [the microphone]."
        ),
    ] = None,
    sample_rate: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1_000_000,
            help="Sample rate of raw samples or the microphone [the model's].",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Minimum probability of a word, minus that of unknown [the model's]."
        ),
    ] = None,
    step: Annotated[
        float | None,
        typer.Option(help="Seconds between predictions [a tenth of a clip, at most 0.1]."),
    ] = None,
    smoothing: Annotated[
        int, typer.Option(min=1, max=1000, help="Number of predictions to average.")
    ] = 5,
    refractory: Annotated[float, typer.Option(help="Minimum seconds between words.")] = 1.0,
    microphone: Annotated[
        str | None, typer.Option(help="Name or number, as listed by python -m sounddevice.")
    ] = None,
    device: options.Device = "auto",
    size_limit: options.ModelSize = "1GB",
) -> None:
    """Write each word as CSV as soon as it is heard.

    Columns are seconds, word and probability.

    A microphone needs pip install "mixup-tab[live]", or a recorder that writes to a pipe:
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
