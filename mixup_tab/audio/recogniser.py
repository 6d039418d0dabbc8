"""Saved speech models without scikit-learn, for commands that should answer at once.

Importing scikit-learn, pandas and skorch takes as long as importing torch, and predicting with
a net needs none of them. Files pass the checks that they pass elsewhere; predictions of equal
batches have the same bits.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mixup_tab.audio.answers import check_threshold
from mixup_tab.audio.files import check_reading_params
from mixup_tab.audio.from_waveform import FromWaveform
from mixup_tab.audio.saving import SpeechCard, check_pipeline
from mixup_tab.nets import Ensemble
from mixup_tab.nets.prediction import probabilities
from mixup_tab.nets.stacked import as_stack
from mixup_tab.persistence.cards import load_with_card
from mixup_tab.persistence.model_file import SIZE_LIMIT, read_model
from mixup_tab.persistence.net_weights import checked_arguments
from mixup_tab.persistence.plain_forms import check_sound
from mixup_tab.persistence.reading import Reader
from mixup_tab.training.device import pick_device, threads_for
from mixup_tab.training.torch_state import torch_defaults


def load_recogniser(
    path: str | os.PathLike, *, device: str = "auto", size_limit: float = SIZE_LIMIT
) -> tuple[Sequence[Any], SpeechCard]:
    """Read a speech model as ``load_speech_model`` does, in less time.

    Returns the steps of the pipeline and the card. The first step holds the parameters of the
    reader, the last one has ``classes_`` and ``predict_proba``. A model with other steps is
    returned as a Pipeline. Raises ValueError if it is not a speech model, or the device cannot
    be used.
    """
    model = read_model(path, size_limit=size_limit)
    load = partial(load_with_card, model, "sound", SpeechCard, check_pipeline, device=device)
    try:
        return load(reader=_LeanReader)
    except _NeedsMoreError:
        return load()


class _NeedsMoreError(ImportError):
    """A model holds something that needs scikit-learn."""


class _LeanReader(Reader):
    """Reads only what predicting needs, or raises _NeedsMoreError."""

    def check(self) -> None:
        """Do nothing: the objects made here check themselves."""

    def _ObjectNode(self, node: dict[str, Any]) -> Any:
        name = node["__class__"]
        if name == "Stored":
            return super()._ObjectNode(node)
        state = self.make(node["content"])
        if name == "Pipeline":
            return [step for _, step in state["steps"]]
        if name == "AudioReader":
            check_sound(state)
            names = ("sample_rate", "seconds", "align", "dtype", "on_error")
            check_reading_params(*(state[each] for each in names))
            return SimpleNamespace(**state)
        if name == "MixupClassifier":
            return _Classifier(state) if "net_" in state else None
        if name == "RejectingClassifier":
            check_threshold(state["threshold"])
            if type(state["unknown"]) is not str:
                raise ValueError("its answer to other sounds is not text")
            state["estimator_"].threshold = state["threshold"]
            state["estimator_"].unknown = state["unknown"]
            return state["estimator_"]
        raise _NeedsMoreError(name)

    def _net(self, facts: dict[str, Any]) -> Any:
        module, number = facts["module"], facts["number"]
        if not isinstance(module, partial) or module.func is not FromWaveform:
            raise _NeedsMoreError(str(module))
        arguments = checked_arguments(facts, self.weights[number])
        nets = [module(**arguments) for _ in range(facts["n_members"])]
        net = nets[0] if len(nets) == 1 else Ensemble(nets)
        net.load_state_dict(self.weights[number])
        self.nets[number] = net.to(pick_device(self._device)).eval()
        return _Net(net, facts)


class _Net(NamedTuple):
    """A net and its description; a private type, which no file can name."""

    module: nn.Module
    facts: dict[str, Any]


class _Classifier:
    """Predicts as a fitted MixupClassifier of waveforms."""

    def __init__(self, state: dict[str, Any]) -> None:
        if type(state["net_"]) is not _Net:
            raise ValueError("its net is not a net")
        self._net, facts = state["net_"]
        self.classes_, self.n_features_in_ = state["classes_"], state["n_features_in_"]
        self._chunk = as_stack(self._net).rows_per_chunk(facts["batch_size"])
        fine = facts["classifies"] and facts["n_outputs"] == len(self.classes_) > 1
        fine = fine and np.array_equal(self.classes_, np.unique(self.classes_))
        fine = fine and facts["arguments"]["input_shape"] == (self.n_features_in_,)
        if not fine:
            raise ValueError("its net does not match its words and clips")

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return probabilities, shape (clips, words), for waveforms, shape (clips, samples)."""
        x = torch.from_numpy(X)
        work = 3 * min(self._chunk, len(x)) * as_stack(self._net).multiplications(x[:1])
        with torch_defaults(gradients=False), torch.inference_mode(), threads_for(work):
            parts = [self._outputs(part) for part in x.split(self._chunk)]
            outputs = parts[0] if len(parts) == 1 else torch.cat(parts)
        proba = probabilities(outputs.numpy().astype(np.float64).swapaxes(0, 1))
        return proba[0] if len(proba) == 1 else proba.mean(0)

    def _outputs(self, x: Tensor) -> Tensor:
        """Return the outputs of all members, shape (clips, members, words)."""
        outputs = self._net(x.to(next(self._net.parameters()).device)).cpu()
        return outputs.transpose(0, 1) if isinstance(self._net, Ensemble) else outputs[:, None]
