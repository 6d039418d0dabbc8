"""``mixup-tab speech preview``: a page to hear and see augmented and mixed clips."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils import Bunch
from torch import Tensor

from mixup_tab._extras import import_extra
from mixup_tab._files import check_new
from mixup_tab._page import Sound, Table, write_page
from mixup_tab.audio.files import read_clips
from mixup_tab.audio.folders import load_audio_folder
from mixup_tab.audio.from_waveform import FromWaveform
from mixup_tab.audio.negatives import as_recordings, read_noise
from mixup_tab.audio.recipe import speech_classifier
from mixup_tab.audio.waveforms import samples_in, to_int16
from mixup_tab.training.randomness import drawing_from
from mixup_tab.training.torch_state import with_torch_defaults

_VERSIONS, _LAM = 3, 0.6
_MOST_BYTES = 8_000_000  # of sounds
_TEXT = (
    "Every epoch of training changes the clips in another way: shift, speed, filter and noise. "
    "The pictures are the spectrograms that the net sees, low frequencies below; there, "
    "stripes are hidden as well."
)
_MIXED = (
    f"In the last sounds a clip is mixed with the next of the table at λ = {_LAM:g}, and so "
    "is its label. Training draws λ and partners at random."
)
_ALONE = "There is no other clip to mix this one with."


@with_torch_defaults
def write_preview(
    root: str | os.PathLike,
    output: Path,
    *,
    clips: int = 1,
    folder_options: Mapping[str, Any] | None = None,
    on_error: str = "raise",
    random_state: int = 0,
    overwrite: bool = False,
    **recipe: Any,
) -> Path:
    """Write a page with some clips of a folder as they are, augmented, and mixed.

    ``clips`` is the number of clips of each word, two at least of a single word, as far as 8 MB
    of sounds allow;
    ``folder_options`` are those of :func:`~mixup_tab.audio.load_audio_folder`, and ``recipe``
    parameters of :func:`~mixup_tab.audio.speech_classifier`. Returns the path of the page.
    Raises ValueError if files cannot be read or ``output`` exists.
    """
    check_new(output, overwrite)
    reader = speech_classifier(**recipe, on_error=on_error)[0]
    options = {"min_labels": 1, **(folder_options or {})}
    folder = load_audio_folder(root, on_error=on_error, **options)
    noise = as_recordings(read_noise(folder.noise, reader, 0.0, on_error).training)
    samples = samples_in("seconds", reader.seconds, reader.sample_rate)
    make_net = speech_classifier(**recipe, noise=noise)[-1].module
    net = make_net(out_features=2, input_shape=(samples,))
    most = max(_MOST_BYTES // (2 * samples * (_VERSIONS + 2)), 2)
    clips = clips if len(folder.label_names) > 1 else max(clips, 2)  # two to mix
    rows = _choose(folder, clips, random_state)[:most]
    read = read_clips(folder.data[rows], **reader.get_params())
    rows = rows[read.kept]
    if not len(rows):
        raise ValueError(f"root={str(root)!r} has no clip that can be read.")
    words, generator = folder.target[rows], torch.Generator().manual_seed(random_state)
    with torch.inference_mode(), drawing_from(generator):
        columns = _hear(net, torch.from_numpy(read.waveforms), words, reader.sample_rate)
    table = pd.DataFrame({"word": words, **columns, "file": folder.data[rows]})
    summary = f"{len(rows)} clips, as recorded and as the net gets them."
    if left := len(folder.label_names) - len(np.unique(words)):
        summary += f" Words left out, to keep the page small: {left}."
    facts = {"folder": str(root), "seed": str(random_state)}
    facts |= {part: repr(getattr(net, part)) for part in ("augment", "masks", "spectrogram")}
    title = "What training does to clips"
    texts = [*folder.notes, _TEXT, _MIXED if len(rows) > 1 else _ALONE]
    sections = {"Clips": [*texts, Table(table)]}
    return write_page(output.parent, title, summary, sections, facts=facts, name=output.name)


def _choose(folder: Bunch, clips: int, seed: int) -> np.ndarray:
    """Return positions of random clips: one of every word, then a second, and so on."""
    order = np.random.default_rng(seed).permutation(len(folder.target))
    table = pd.DataFrame({"word": folder.target[order], "row": order})
    table["turn"] = table.groupby("word").cumcount()
    return table[table["turn"] < clips].sort_values(["turn", "word"])["row"].to_numpy()


def _hear(net: FromWaveform, x: Tensor, words: np.ndarray, rate: int) -> dict[str, Any]:
    """Return columns of sounds: clips as they are, augmented, and mixed with the next one."""
    augment, see, masks = net.augment, net.spectrogram, net.masks
    assert augment is not None
    assert masks is not None
    plain = augment.eval()(x)
    augment.train()
    columns = {"original": _sounds(plain, see(plain), words, rate)}
    for version in range(1, _VERSIONS + 1):
        changed = augment(x)
        seen = see(changed)
        columns[f"augmented {version}"] = _sounds(changed, masks(seen), words, rate)
    if len(words) == 1:
        return columns
    mixed, both = (_LAM * each + (1 - _LAM) * each.roll(-1, 0) for each in (changed, seen))
    pairs = zip(words, np.roll(words, -1), strict=True)
    labels = [f"{_LAM:g} {one} + {1 - _LAM:g} {other}" for one, other in pairs]
    columns["mixed"] = _sounds(mixed, masks(both), labels, rate)
    return columns | {"mixed label": labels}


def _sounds(
    x: Tensor, pictures: Tensor, names: Sequence[str] | np.ndarray, rate: int
) -> list[Sound]:
    """Return waveforms as sounds; those beyond full scale are turned down."""
    x = x / x.abs().amax(1, keepdim=True).clamp(min=1)
    sounds = []
    for wave, picture, name in zip(x.numpy(), pictures.numpy(), names, strict=True):
        png = io.BytesIO()
        style = {"cmap": "magma", "origin": "lower", "format": "png"}
        import_extra("matplotlib.image", "plots").imsave(png, picture[0], **style)
        sounds.append(Sound(to_int16(wave), rate, str(name), png.getvalue()))
    return sounds
