"""How far a comparison is, by the epochs of its nets."""

import io
import re
import time

import pytest

from mixup_tab import MixupClassifier, MixupSearchCV
from mixup_tab._terminal import ProgressBar, make_console
from mixup_tab.compare.progress import counted, watched


def net(**settings):
    return MixupClassifier(
        hidden_layer_sizes=(4,), max_epochs=4, n_estimators=1, device="cpu", **settings
    )


def test_epochs_are_counted_in_single_fits_and_in_searches(two_classes, tmp_path):
    path, seen = tmp_path / "progress", []
    with watched(path, seen.append):
        assert path.read_bytes() == b""
        with counted(path, fits=6):
            net().fit(*two_classes)
            assert len(path.read_bytes()) == 200 // 6
            MixupSearchCV(net(), {"alpha": [0.0, 1.0]}, cv=2, refit=False, n_jobs=1).fit(
                *two_classes
            )
            assert len(path.read_bytes()) == 5 * 200 // 6
        assert len(path.read_bytes()) == 200
        with counted(path, fits=1):
            net().fit(*two_classes)
        while not seen or seen[-1] < 2:
            time.sleep(0.05)
    assert seen[-1] == 2
    assert not path.exists()


def test_the_same_net_comes_out_whoever_watches(two_classes, tmp_path):
    path = tmp_path / "progress"
    path.touch()
    with counted(path, fits=1):
        watched_net = net(random_state=0).fit(*two_classes)
    alone = net(random_state=0).fit(*two_classes)
    X = two_classes[0]
    assert (watched_net.predict_proba(X) == alone.predict_proba(X)).all()


def test_lines_say_what_is_left_by_the_speed_so_far(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    shown = io.StringIO()
    with ProgressBar("fit", 10, done=4, console=make_console(shown)) as bar:
        now[0] = 20.0
        bar.update(5, remark="five [/red]")
        bar.advance()  # no line: there was one just now
        now[0] = 51.0
        bar.update(6.5)
        now[0] = 9000.0
        bar.update(10, remark="ten")
    assert shown.getvalue().splitlines() == [
        "five [/red]; 20 s, about 2 min left",
        "fit 6/10; 51 s, about 71 s left",
        "ten; 2.5 h",
    ]


@pytest.mark.parametrize("width", [1, 12])
def test_a_narrow_console_cuts_nothing_short_but_lines(width):
    shown = io.StringIO()
    console = make_console(shown)
    console.width = width
    with ProgressBar("fit", 2, console=console) as bar:
        bar.update(1, remark="error 5.1 %")
    console.print("Report: out[/x]/report.html", soft_wrap=True)
    assert re.match(r"error 5.1 %; \d+ s, about \d+ s left\n", shown.getvalue())
    assert shown.getvalue().endswith("out[/x]/report.html\n")
