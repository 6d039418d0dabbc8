"""The page of an evaluation: what can be played is what the net heard."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from mixup_tab.audio import AudioReader, mistakes
from mixup_tab.audio.evaluate import Evaluation
from mixup_tab.audio.evaluation_report import _report, _sentence, draw_tradeoff, threshold_table
from mixup_tab.audio.mistakes import playable

soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")

RATE = 8000
NASTY = "<script>alert(1)</script>\"' onerror=x &amp;"


class Page(HTMLParser):
    """Attributes of all elements, and the text of every cell by row."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.rows, self.cell = [], [], False
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.cell = tag == "td"
        if tag == "tr":
            self.rows.append([])
        if self.cell:
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.cell and self.rows[-1]:
            self.rows[-1][-1] += data.strip()

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def samples_of(source):
    """What a browser would play: 16-bit samples and their rate."""
    kind, _, content = source.partition(";base64,")
    assert kind == "data:audio/wav"
    return soundfile.read(io.BytesIO(base64.b64decode(content)), dtype="int16")


@pytest.fixture
def files(tmp_path):
    """A short clip, and a long one at twice the rate and in stereo."""
    rng, paths = np.random.default_rng(0), []
    for name, shape, rate in (("short.wav", 500, RATE), ("long.flac", (9000, 2), 2 * RATE)):
        paths.append(str(tmp_path / name))
        soundfile.write(paths[-1], rng.uniform(-0.5, 0.5, shape), rate)
    return paths


def table(paths, labels, predicted, probability=0.9):
    columns = {"path": paths, "label": labels, "predicted": predicted}
    return pd.DataFrame(columns).assign(probability=probability)


def report(folder, predictions, **options):
    options = {"reader": AudioReader(RATE, 0.2), **options}
    words = sorted({*predictions["label"]})
    evaluation = Evaluation(predictions, words, [], **options)
    return Page(_report(evaluation, folder, _sentence(evaluation), ["All."], {}))


def test_mistakes_are_played_as_the_net_heard_them(files, tmp_path):
    found = table(files * 2, ["no", "yes"] * 2, ["yes", "no", "no", "yes"], [0.6, 0.9, 1, 1])
    page = report(tmp_path, found)
    heard = [samples_of(audio["src"]) for audio in page.all("audio")]
    assert [rate for _, rate in heard] == [RATE, RATE]
    expected = AudioReader(RATE, 0.2).transform(files[::-1])  # the most confident first
    np.testing.assert_array_equal([wave for wave, _ in heard], expected)
    labels = [audio["aria-label"] for audio in page.all("audio")]
    assert labels == ["yes, predicted no", "no, predicted yes"]
    assert {audio["preload"] for audio in page.all("audio")} == {"none"}
    assert all("controls" in audio for audio in page.all("audio"))
    (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert "media-src data:;" in policy


def test_a_window_of_a_recording_is_played_where_it_was_heard(tmp_path):
    wave = np.random.default_rng(0).integers(-9000, 9000, 5 * RATE // 2, dtype=np.int16)
    soundfile.write(tmp_path / "noise.wav", wave, RATE)
    alarms = table([str(tmp_path / "noise.wav")] * 2, "_noise_", "yes").assign(start=[0, 1.5])
    _, shown = playable(alarms, AudioReader(RATE, 0.5))
    for sound, start in zip(shown.frame["sound"], (0, 1.5), strict=True):
        first = int(start * RATE)
        np.testing.assert_array_equal(sound.samples, wave[first : first + RATE // 2])
    assert shown.frame["at second"].tolist() == [0, 1.5]


def test_a_page_holds_so_many_mistakes_and_so_much_sound(files, tmp_path, monkeypatch):
    found = table(files[:1] * 150, "no", "yes", np.linspace(0.5, 1, 150))
    text, shown = playable(found, AudioReader(RATE, 0.2))
    assert "150 in all" in text
    assert "50 more are in predictions.csv" in text
    assert shown.frame["probability"].is_monotonic_decreasing
    assert shown.frame["sound"].notna().sum() == len(shown.frame) == 100
    monkeypatch.setattr(mistakes, "_MOST_BYTES", 5 * 2 * RATE // 5)
    _, shown = playable(found, AudioReader(RATE, 0.2))
    assert shown.frame["sound"].notna().tolist() == [True] * 5 + [False] * 95
    assert "small: 95." in shown.caption
    page = report(tmp_path, found.assign(label=["no", "yes"] * 75))
    assert len(page.all("audio")) == 5


def test_a_file_that_has_gone_leaves_an_empty_cell(files, tmp_path):
    found = table([files[0], str(tmp_path / "gone.wav")], ["no", "yes"], ["yes", "no"])
    page = report(tmp_path, found)
    assert len(page.all("audio")) == 1
    assert "small: 1." in (tmp_path / "report.html").read_text("utf-8")


def test_names_are_shown_and_never_read_as_html(tmp_path):
    path = tmp_path / "<img src=x onerror=alert(2)>.wav"
    soundfile.write(path, np.zeros(100), RATE)
    words = [NASTY, "日本語", "a$b_c$"]
    page = report(tmp_path, table([str(path)] * 3, words, words[::-1]))
    assert len(page.all("script")) == 1
    assert [img["src"][:11] for img in page.all("img")] == ["data:image/"]
    labels = [audio["aria-label"] for audio in page.all("audio")]
    assert f"{NASTY}, predicted a$b_c$" in labels
    cells = [cell for row in page.rows for cell in row]
    assert {NASTY, "日本語", "a$b_c$", str(path)} <= set(cells)


def test_there_may_be_no_mistakes_and_many_words(files, tmp_path):
    words = [f"word{k}" for k in range(35)]
    page = report(tmp_path, table(files[:1] * 35, words, words))
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "There are none." in text
    assert not page.all("audio")
    assert "False alarms" not in text
    assert re.search(r"Accuracy 100.00 % on 35 clips", text)


# ---------------------------------------------------------------------- other sounds


def evaluation_of(files):
    """Five clips of words and four other sounds, at a threshold of 0.5."""
    columns = {"path": files[0], "label": ["no", "no", "yes", "yes", "yes"]}
    known = pd.DataFrame(columns | {"word": ["no", "no", "yes", "yes", "no"]})
    other = pd.DataFrame({"path": [files[1]] * 4, "label": "noise", "word": "no"})
    for frame, score in ((known, [0.9, 0.8, 0.6, 0.4, 0.7]), (other, [0.75, 0.3, 0.2, 0.1])):
        frame["margin"] = score
        frame["predicted"] = frame["word"].where(frame["margin"] >= 0.5, "unknown")
        frame["probability"] = frame["margin"].where(frame["predicted"] != "unknown", 0.0)
    common = {"unknown": "unknown", "threshold": 0.5, "reader": AudioReader(RATE, 0.2)}
    return Evaluation(known, ["no", "yes"], [], other, seconds=4 * 0.2, **common)


def test_thresholds_mean_what_they_would_do(files):
    evaluation = evaluation_of(files)
    found = threshold_table(evaluation.tradeoff(), 0.5)
    own, strict = found.iloc[0], found.loc["at most 10 %"]
    # At 0.5 one clip is refused and one taken for another word; one of four is an alarm.
    assert own["threshold"] == 0.5
    assert own["words missed %"] == pytest.approx(40)
    assert own["false alarms %"] == pytest.approx(25)
    assert own["false alarms per hour"] == pytest.approx(3600 / 0.8)
    # Without any alarm the threshold lies above 0.75.
    assert strict["threshold"] == 0.8
    assert strict["words missed %"] == pytest.approx(60)
    assert strict["false alarms %"] == 0


def test_the_curve_has_both_scales_and_the_models_threshold(files):
    evaluation = evaluation_of(files)
    curve = evaluation.tradeoff()
    axes, hourly = draw_tradeoff(curve, 0.5).axes
    line, mark = axes.lines
    np.testing.assert_allclose(line.get_ydata(), 100 * curve["missed"])
    assert [*mark.get_xdata(), *mark.get_ydata()] == pytest.approx([25, 40])
    # The same place on both: 100 % are as many per hour as there are windows.
    assert hourly.get_xlim()[1] == pytest.approx(3600 / 0.2)
    place = axes.transData.transform([25, 0])[0]
    assert hourly.transData.transform([0.25 * 3600 / 0.2, 0])[0] == pytest.approx(place)


def test_the_page_has_false_alarms_to_play(files, tmp_path):
    evaluation = evaluation_of(files)
    sentence = _sentence(evaluation)
    assert "20.0 % are answered 'unknown'" in sentence
    assert "1 of 4 other sounds" in sentence
    assert "4,500 false alarms per hour" in sentence
    page = Page(_report(evaluation, tmp_path, sentence, ["All."], {}))
    labels = [audio["aria-label"] for audio in page.all("audio")]
    assert labels[0] == "noise, predicted no"
    assert len(labels) == 1 + 2
    assert (tmp_path / "pictures" / "tradeoff.png").exists()


def test_a_model_that_refuses_may_be_tested_on_words_alone(files, tmp_path):
    evaluation = evaluation_of(files)
    evaluation.negatives = evaluation.negatives[:0]
    page = Page(_report(evaluation, tmp_path, _sentence(evaluation), ["All."], {}))
    assert len(page.all("audio")) == 2
    assert not (tmp_path / "pictures" / "tradeoff.png").exists()
