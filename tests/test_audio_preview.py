"""The page on what training does to clips: every sound in it is what it says."""

import shutil

import numpy as np
import pytest
from test_audio_report import Page, samples_of
from tone_folders import RATE, SECONDS, write_tones
from typer.testing import CliRunner

from mixup_tab.audio import AudioReader, load_audio_folder, preview
from mixup_tab.audio.preview import write_preview
from mixup_tab.cli.app import app

SMALL = {"seconds": SECONDS, "sample_rate": RATE}
COLUMNS = 5  # original, augmented three times, mixed


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    return write_tones(tmp_path_factory.mktemp("clips") / "tones", takes=2)


@pytest.fixture(scope="module")
def page(tones, tmp_path_factory):
    path = write_preview(tones, tmp_path_factory.mktemp("page") / "tones.html", **SMALL)
    assert path.name == "tones.html"
    return Page(path)


def heard(page):
    """Full scale is 1; one row of sounds for every clip."""
    waves = [samples_of(audio["src"])[0] / 32768 for audio in page.all("audio")]
    return np.array(waves).reshape(-1, COLUMNS, int(RATE * SECONDS))


def test_clips_are_played_as_they_are_augmented_and_mixed(page, tones):
    rows = [row for row in page.rows if row]
    assert [row[0] for row in rows] == ["low", "mid", "top"]
    clips = heard(page)
    files = [row[-1] for row in rows]
    assert set(files) <= set(load_audio_folder(tones).data)
    expected = AudioReader(RATE, SECONDS).transform(files) / 32768
    np.testing.assert_array_equal(clips[:, 0], expected)
    for one in range(COLUMNS):
        for other in range(one):
            assert np.abs(clips[:, one] - clips[:, other]).max(axis=1).min() > 0.01
    # The third augmented version is mixed, each with that of the next word.
    mixed = 0.6 * clips[:, 3] + 0.4 * np.roll(clips[:, 3], -1, axis=0)
    assert np.abs(clips[:, 3]).max() < 0.99  # else it would have been turned down
    np.testing.assert_allclose(clips[:, 4], mixed, atol=1e-4)
    labels = ["0.6 low + 0.4 mid", "0.6 mid + 0.4 top", "0.6 top + 0.4 low"]
    assert [row[-2] for row in rows] == labels
    images = [img["src"] for img in page.all("img")]
    assert len(set(images)) == len(images) == 3 * COLUMNS
    assert all(source.startswith("data:image/png") for source in images)


def test_the_same_seed_gives_the_same_page(tones, page, tmp_path):
    first, second, other = (
        write_preview(tones, tmp_path / f"{k}.html", random_state=seed, **SMALL).read_bytes()
        for k, seed in enumerate((0, 0, 1))
    )
    assert first == second != other


def test_a_page_holds_so_much_sound_and_every_word_once_before_any_twice(
    tones, tmp_path, monkeypatch
):
    size = 2 * int(RATE * SECONDS) * COLUMNS
    for room, words in ((5, "low mid top low mid"), (2, "low mid")):
        monkeypatch.setattr(preview, "_MOST_BYTES", room * size)
        path = write_preview(tones, tmp_path / f"{room}.html", clips=9, **SMALL)
        assert [row[0] for row in Page(path).rows if row] == words.split()
        left_out = "small: 1." in path.read_text("utf-8")
        assert left_out == (room == 2)


@pytest.mark.parametrize("files", [1, 2, 3])
def test_a_single_word_is_mixed_with_another_clip_of_it_if_there_is_one(files, tmp_path):
    root = write_tones(tmp_path / "tones", takes=4)
    for word in ("mid", "top"):
        shutil.rmtree(root / word)
    for path in sorted((root / "low").glob("*.wav"))[files:]:
        path.unlink()
    path = write_preview(root, tmp_path / "one.html", **SMALL)
    page = Page(path)
    rows = [row for row in page.rows if row]
    assert len(rows) == min(files, 2) == len({row[-1] for row in rows})
    assert ("no other clip" in path.read_text("utf-8")) == (files == 1)
    if files == 1:
        assert len(list(page.all("audio"))) == COLUMNS - 1
        return
    clips = heard(page)
    mixed = 0.6 * clips[:, 3] + 0.4 * clips[::-1, 3]
    np.testing.assert_allclose(clips[:, 4], mixed, atol=1e-4)
    assert [row[-2] for row in rows] == ["0.6 low + 0.4 low"] * 2


def test_the_command_writes_a_page_and_replaces_nothing_unasked(tones, tmp_path):
    root = write_tones(tmp_path / "tones")
    (root / "low").rename(root / "<b onclick=x>日本")
    output = tmp_path / "p.html"
    options = ["--output", str(output), "--seconds", "0.2", "--sample-rate", "8000"]
    result = CliRunner().invoke(app, ["speech", "preview", str(root), *options])
    assert result.exit_code == 0, result.output
    assert f"Wrote {output}" in " ".join(result.stdout.split())
    page = Page(output)
    assert page.all("b") == []
    assert "<b onclick=x>日本" in [row[0] for row in page.rows if row]
    before = output.read_bytes()
    result = CliRunner().invoke(app, ["speech", "preview", str(root), *options])
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert output.read_bytes() == before
    for path in root.glob("*/*.wav"):
        path.write_bytes(b"no sound")
    options += ["--force", "--on-error", "skip"]
    result = CliRunner().invoke(app, ["speech", "preview", str(root), *options])
    assert result.exit_code == 1
    assert "no clip that can be read" in result.stderr
