"""The learning curve and the recipes of benchmarks/ on folders of tones."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.utils import Bunch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("benchmarks/ is not in an installed package", allow_module_level=True)
pytest.importorskip("soundfile", reason="soundfile is not installed")
sys.path.append(str(BENCHMARKS))

import speech_curve  # noqa: E402
import speech_embedding  # noqa: E402
import speech_recipe  # noqa: E402
from tone_folders import write_tones  # noqa: E402

from mixup_tab.audio import speech_classifier  # noqa: E402

pytestmark = pytest.mark.slow  # the maintainers' studies
LOGISTIC = "embedding + LogisticRegression"


@pytest.fixture
def folder(tmp_path):
    return write_tones(tmp_path / "tones", lists=True)


@pytest.fixture
def curve(monkeypatch, folder, tmp_path):
    """Run the study, with a tiny net and an embedding that counts zero crossings."""

    def embed(paths, folder):
        waves = speech_embedding.AudioReader().transform(paths).astype(int)
        crossings = (np.diff(np.sign(waves)) != 0).sum(1)
        return pd.DataFrame(np.stack([crossings, crossings**2], axis=1), paths), 3000.0

    def run(*arguments):
        given = [folder, *arguments, "--jobs", 1, "--output", tmp_path / "out"]
        monkeypatch.setattr(sys, "argv", ["speech_curve.py", *map(str, given)])
        speech_curve.main()
        return pd.read_csv(tmp_path / "out" / arguments[1] / "all.csv", dtype={"table": str})

    monkeypatch.setattr(speech_curve, "embed_once", embed)
    monkeypatch.setattr(speech_curve, "find_spec", lambda name: True)
    tiny = speech_classifier("lenet", alpha=0, max_epochs=1)
    monkeypatch.setitem(speech_curve.SOUND, "plain training", tiny)
    monkeypatch.setattr(speech_curve, "DRAWS", {"2": 2, "3": 1})
    return run


def test_small_draws_lie_in_larger_ones_and_have_few_speakers():
    rng = np.random.default_rng(0)
    clips = Bunch(
        target=rng.choice(["no", "yes"], 200), speakers=rng.integers(25, size=200).astype(str)
    )
    pool = np.arange(50, 200)
    small, large = (speech_curve.draw(clips, pool, size, seed=1) for size in (4, 20))
    assert set(small) < set(large) <= set(pool)
    assert np.unique(clips.target[small], return_counts=True)[1].tolist() == [4, 4]
    assert len(np.unique(clips.speakers[small])) <= 4  # 8 of 25, clip by clip
    assert (speech_curve.draw(clips, pool, 4, seed=2) != small).any()
    assert set(speech_curve.draw(clips, pool, 1000, seed=1)) == set(pool)


def test_parts_add_up_in_one_table(curve, tmp_path, capsys):
    assert len(curve("--part", "test", "--methods", "plain training", "--sizes", 2)) == 2
    found = curve("--part", "test", "--methods", LOGISTIC)
    assert found.groupby("method")["table"].agg(list).to_dict() == {
        "plain training": ["2", "2"],
        LOGISTIC: ["2", "2", "3"],
    }
    assert not found["failed"].any()
    assert found["n_train"].tolist() == [6, 6, 6, 6, 9]
    assert found["n_test"].eq(3).all()  # of dan, who is on the list
    times = found[found["method"] == LOGISTIC]
    assert (times["fit, CPU s"] > 3 * times["n_train"]).all()  # embedding is counted
    assert (times["predict, CPU ms a clip"] > 3000).all()
    text = (tmp_path / "out" / "test" / "results.md").read_text(encoding="utf-8")
    assert "| method | 2 | 3 |" in text
    assert f"| {LOGISTIC} | 100.0 ± 0.0 | 100.0 |" in text  # tones differ in pitch
    assert "3 clips of other speakers (test;" in text


def test_choices_can_be_made_without_the_test_speakers(curve, monkeypatch, tmp_path):
    used = []

    def embed(paths, folder):
        used.extend(Path(path).name.split("_")[0] for path in paths)
        return pd.DataFrame(), 0.0

    monkeypatch.setattr(speech_curve, "embed_once", embed)
    found = curve("--part", "validation", "--methods", LOGISTIC, "--sizes", 3)
    assert set(used) == {"ann", "bob", "cat"}  # dan tests
    assert found[["n_train", "n_test"]].values.tolist() == [[6, 3]]
    assert found["failed"].all()  # there was no embedding
    assert f"{LOGISTIC} failed on 3" in (tmp_path / "out/validation/results.md").read_text()


def test_C_is_chosen_with_speakers_apart(monkeypatch):
    rng = np.random.default_rng(0)
    paths, y = np.array([f"{k}.wav" for k in range(60)], dtype=object), np.arange(60) % 3
    known = Bunch(
        speakers=pd.Series(rng.integers(8, size=60), paths),
        embeddings=pd.DataFrame(rng.normal(size=(60, 4)) + 3 * y[:, None], paths),
        milliseconds=1.0,
    )
    search = speech_curve.EMBEDDED[LOGISTIC]
    row = speech_curve.score(known, search, paths[:45], y[:45], paths[45:], y[45:])
    assert row.keys() == speech_curve.FORMATS.keys()
    people = known.speakers.to_numpy()[:45]
    for train, held_out in search.cv:
        assert not set(people[train]) & set(people[held_out])


def test_an_embedding_does_not_depend_on_the_clip_before(folder):
    pytest.importorskip("pyopen_wakeword", reason="pyopen-wakeword is not installed")
    low, top = folder / "low" / "ann_nohash_0.wav", folder / "top" / "ann_nohash_0.wav"
    first, milliseconds = speech_embedding.embed(str(low))
    speech_embedding.embed(str(top))
    np.testing.assert_array_equal(speech_embedding.embed(str(low))[0], first)
    assert first.shape == (192,)
    assert milliseconds > 0


def test_recipes_are_compared_on_training_speakers_and_the_default_on_the_others(
    tmp_path, capsys, monkeypatch
):
    root = write_tones(tmp_path / "tones", takes=2)
    paths = sorted(root.glob("*/*.wav"))
    speakers = [path.name.split("_")[0] for path in paths]
    columns = {
        "path": [str(path.relative_to(tmp_path)) for path in paths],
        "set": "tones",
        "label": [path.parent.name for path in paths],
        "speaker": speakers,
        "split_speaker": ["test" if speaker == "dan" else "train" for speaker in speakers],
    }
    pd.DataFrame(columns).to_csv(tmp_path / "INDEX.csv", index=False)
    scored = []
    fit_and_score = speech_recipe.fit_and_score

    def watch(params, clips, held_out, seed):
        scored.append((set(clips.speaker), set(held_out.speaker)))
        return fit_and_score(params, clips, held_out, seed)

    monkeypatch.setattr(speech_recipe, "fit_and_score", watch)
    given = [str(tmp_path), "--set", "tones", "--epochs", "1"]
    recipes = ["default", "64 mel bands", "no masks"]
    speech_recipe.main([*given, "--recipes", *recipes, "--folds", "1"])
    speech_recipe.main([*given, "--final"])
    for kept, left in scored[:3]:
        assert kept | left == {"ann", "bob", "cat"}
        assert not kept & left
    assert scored[3] == ({"ann", "bob", "cat"}, {"dan"})
    rows = [line for line in capsys.readouterr().out.splitlines() if " | 1 | " in line]
    assert [row.split(" | ")[0][2:] for row in rows] == [*recipes, "default, test speakers"]
