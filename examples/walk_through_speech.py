"""
Real clips, step by step
========================

From a folder of recorded words to a tested model, with every choice made on training clips and
speakers kept apart throughout. Give it a folder with one subfolder per word; without one it
downloads Google's Speech Commands (2.3 GB):

    python examples/walk_through_speech.py FOLDER

It trains 6 + 1 small nets; on two cores and 1,500 clips that takes about ten minutes.
"""

import sys
from functools import partial

import numpy as np
from sklearn.metrics import ConfusionMatrixDisplay, classification_report
from sklearn.model_selection import GridSearchCV, GroupKFold, GroupShuffleSplit
from sklearn.pipeline import Pipeline

from mixup_tab import MixupClassifier
from mixup_tab.audio import (
    AudioReader,
    FromWaveform,
    SpecAugment,
    SpectrogramLayer,
    WaveAugment,
    fetch_speech_commands,
    load_audio_folder,
)
from mixup_tab.displays import LossCurveDisplay
from mixup_tab.nets import BCResNet


def main(folder=None):
    # %% 1. The clips: paths, words and speakers. The sounds stay on disk until needed.
    clips = fetch_speech_commands(task=10) if folder is None else load_audio_folder(folder)
    print(clips.frame.groupby("label").size())
    paths, words, speakers = clips.data, clips.target, clips.speakers
    if speakers is None:
        sys.exit("File names do not show the speakers: use load_audio_folder(speaker=...).")

    # %% 2. A test part that no choice below uses. A folder with lists has its own.
    if clips.subset is not None:
        train, test = (np.flatnonzero(clips.subset == part) for part in ("train", "test"))
    else:
        split = GroupShuffleSplit(n_splits=1, test_size=0.2, random_state=0)
        train, test = next(split.split(paths, words, speakers))

    # %% 3. The pipeline. Files become waveforms of 16-bit integers; everything else runs on the
    # device, batch by batch: noise and shifts, the spectrogram, mixing, masks.
    # ``mixup_tab.audio.speech_classifier`` makes a similar one with recommended settings.
    module = partial(
        FromWaveform,
        net=BCResNet,
        spectrogram=SpectrogramLayer(kind="mel", window_seconds=0.03),
        augment=WaveAugment(),
        masks=SpecAugment(),
    )
    pipeline = Pipeline(
        [
            ("reader", AudioReader(n_jobs=-1)),
            ("net", MixupClassifier(module=module, max_epochs=20, random_state=0)),
        ]
    )

    # %% 4. α, the rule and when to mix are parameters like any other. Folds keep speakers
    # apart: familiar voices would make scores too good.
    search = GridSearchCV(
        pipeline,
        [
            {"net__alpha": [0]},
            {
                "net__alpha": [0.2],
                "net__mixing": ["mixup"],
                "net__mixing_span": [(0, 1), (1 / 6, 1)],
            },
        ],
        cv=GroupKFold(2),
        scoring="accuracy",
    )
    search.fit(paths[train], words[train], groups=speakers[train])
    for params, score in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        print(f"{score:.3f}  {params}")

    # %% 5. The test part, once.
    predicted = search.predict(paths[test])
    print(classification_report(words[test], predicted, digits=3))
    ConfusionMatrixDisplay.from_predictions(
        words[test], predicted, xticks_rotation="vertical"
    ).figure_.savefig("confusion.png", bbox_inches="tight")
    LossCurveDisplay.from_estimator(search.best_estimator_).figure_.savefig("loss.png")

    # %% 6. To keep or share a model, train it from the command line, which resumes after a kill
    # and writes a file without pickle:
    print(
        "mixup-tab speech train FOLDER --alpha "
        f"{search.best_params_['net__alpha']} --output words.speech\n"
        "mixup-tab speech evaluate words.speech FOLDER\n"
        "mixup-tab speech predict words.speech *.wav"
    )


if __name__ == "__main__":
    main(*sys.argv[1:2])
