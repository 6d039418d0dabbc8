"""The studies of speed, robustness and speech in benchmarks/, each on a tiny case."""

import sys
from argparse import Namespace
from functools import partial
from pathlib import Path
from subprocess import CalledProcessError

import numpy as np
import pandas as pd
import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("benchmarks/ is not in an installed package", allow_module_level=True)
sys.path.append(str(BENCHMARKS))

import endurance  # noqa: E402
import kills  # noqa: E402
import latency  # noqa: E402
import measuring  # noqa: E402
import robustness  # noqa: E402
import speed  # noqa: E402
import speed_methods  # noqa: E402
from tone_folders import write_tones  # noqa: E402

from mixup_tab import MixupClassifier  # noqa: E402

pytestmark = pytest.mark.slow  # the maintainers' studies


def run(module, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
    module.main()


def test_a_ratio_is_the_median_over_pairs_of_runs(monkeypatch):
    clock = iter([100, 7, 1, 2, 9, 3, 4, 4])  # the first pair is a warm-up
    monkeypatch.setattr(measuring, "seconds", lambda run: next(clock))
    row = measuring.compare(3, "a", "b", None, None, {"scale": 0.5})
    assert row.ratios == [0.25, 1.5, 0.5]
    assert str(row) == "| a | b | 0.50 | 0.25 – 1.50 | 2.00 s against 3.00 s |"


def test_threads_are_limited_for_both_sides_and_given_back():
    before = torch.get_num_threads()
    seen = []
    measuring.compare(1, "", "", *[lambda: seen.append(torch.get_num_threads())] * 2)
    assert seen == [1] * 4
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    "fit", [speed_methods.fit_skorch, speed_methods.fit_torch, speed_methods.fit_ours]
)
def test_methods_make_the_same_number_of_steps(fit, monkeypatch):
    steps = []
    X, y = speed_methods.make_table(100)
    original = torch.optim.Adam.step
    counted = lambda *args, **kwargs: (steps.append(1), original(*args, **kwargs))[1]  # noqa: E731
    monkeypatch.setattr(torch.optim.Adam, "step", counted)
    fitted = fit(X, y, 2)
    if isinstance(fitted, MixupClassifier):
        assert fitted.net_.history[-1]["train_batch_count"] * fitted.n_iter_ == 14
    else:
        assert len(steps) == 14


def test_nets_have_the_same_size():
    X, y = speed_methods.make_table(100)
    ours, theirs = (f(X, y, 1) for f in (speed_methods.fit_ours, speed_methods.fit_sklearn))
    n_ours = sum(p.numel() for p in ours.net_.module_.parameters())
    assert n_ours == sum(p.numel() for p in speed_methods.plain_net().parameters())
    # scikit-learn has one output for two classes.
    assert n_ours - sum(a.size for a in (*theirs.coefs_, *theirs.intercepts_)) == 129


@pytest.fixture
def small(monkeypatch):
    table = speed_methods.make_table
    monkeypatch.setattr(speed_methods, "make_table", lambda rows=0, *a, **k: table(80, *a, **k))
    monkeypatch.setattr(speed, "ALPHAS", (0.0, 0.2))
    monkeypatch.setattr(speed, "NETS", 10)
    monkeypatch.setattr(speed, "STEPS", 4)
    monkeypatch.setattr(
        speed, "memory_row", lambda what, run, device: measuring.Row(what, "", [], "1 MB")
    )


def measure(capsys, *rows):
    speed.main(["--epochs", "1", "--pairs", "1", "--rows", *rows])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| ours | against | ratio | range | figures |"
    assert {line.count("|") for line in lines[2:]} == {6}
    return lines[4:]


def test_rows_of_the_speed_table_are_measured(small, capsys):
    rows = ["fit/[smt]*", "fit/alpha", "predict/*", "search/[vf]*", "step/1", "step/10"]
    assert len(measure(capsys, *rows)) == 5 + 1 + 2 + 2 + 2
    assert len(measure(capsys, "memory/*")) == 2 * measuring.STATUS.exists()
    with pytest.raises(SystemExit, match="no such row"):
        speed.main(["--rows", "fits"])


def test_predictions_are_timed(monkeypatch, capsys):
    monkeypatch.setattr(latency, "SIZES", (1, 20, 30))
    chosen = ["--rows", "MixupClassifier", "MLPClassifier", "RandomForest"]
    latency.main(["--calls", "20", "--size", "80", "--pairs", "0", *chosen])
    lines = capsys.readouterr().out.splitlines()
    assert {line.count("|") for line in lines[2:]} == {7}
    names = {line.split("|")[1].strip() for line in lines[4:]}
    assert names - {"MixupClassifier, ONNX"} == set(chosen[1:])


def test_the_time_of_a_process_is_that_of_its_cpu():
    assert latency.cpu_seconds("import time; time.sleep(2)") < 1
    assert latency.cpu_seconds("sum(range(10**7))") > 0
    with pytest.raises(CalledProcessError):
        latency.cpu_seconds("raise SystemExit(3)")


@pytest.mark.slow
def test_searches_are_compared_with_scikit_learns(small, capsys):
    assert len(measure(capsys, "search/[sg]*r*")) == 2


@pytest.mark.skipif(not measuring.STATUS.exists(), reason="/proc/self/status is Linux's")
def test_the_peak_of_memory_is_seen():
    before = measuring.memory("VmRSS")
    held = np.ones(20_000_000)
    assert measuring.memory("VmHWM") - before > 0.9 * held.nbytes


def made_up_rows():
    """Wrong labels and attacks on three splits, as the runner would return them."""
    errors = {"plain training": [0.3, 0.34, 0.32], "mixup": [0.2, 0.22, 0.21]}
    rows = [
        {"method": f"20% wrong labels: {method}", "split": k, "last_test_error": error}
        for method, values in errors.items()
        for k, error in enumerate(values)
    ]
    for method, error in (("plain training", 0.5), ("mixup α=1", 0.2)):
        change = {"clean_error": 0.1, "adversarial_error": error, "box": "white"}
        rows += [
            {"method": f"attacked: {method}", "split": k, "eps": eps, "attack": "fgsm"} | change
            for eps in (0.1, 0.2)
            for k in range(3)
        ]
    frame = pd.DataFrame(rows).assign(
        table="digits", n_train=75, n_test=25, failed=False, why=""
    )
    return frame.assign(best_test_error=0.2, train_error_corrupted=0.9)


def test_robustness_shows_paired_differences(tmp_path):
    robustness.report(made_up_rows(), tmp_path)
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert (
        "| digits, 20% wrong labels | 21.0 | 32.0 (+11.0 ± 3.5) |" in text
    )  # s² (1/3 + 25/75), t = 4.30
    assert "| digits, attacked | 10.0 | 10.0 (+0.0) |" in text  # all splits alike
    line = "| digits, attacked, white box, fgsm, ε = 0.2 | 50.0 | 20.0 (-30.0) |"
    assert line in text
    assert text.index("plain training | mixup α=1") < text.index(line)


def test_robustness_trains_and_attacks(monkeypatch, tmp_path, capsys):
    names = "80% wrong labels: mixup,80% wrong labels: dropout 0.8,attacked: mixup α=1"
    common = ("--datasets", "digits", "--repeats", 1, "--jobs", 1, "--output", tmp_path)
    run(robustness, monkeypatch, *common, "--epochs", 1, "--methods", names)
    results = pd.read_csv(tmp_path / "results.csv")
    assert len(results) == 2 + 4 * len(robustness.EPS)
    wrong, attacks = results.iloc[:2], results.iloc[2:]
    assert (wrong["n_corrupted"] == round(0.8 * wrong["n_train"].iloc[0])).all()
    assert attacks["clean_error"].nunique() == 1
    means = attacks.groupby(["box", "attack"])["adversarial_error"].mean()
    assert (means > attacks["clean_error"].iloc[0]).all()
    assert not np.array_equal(
        *(attacks.loc[attacks["box"] == b, "adversarial_error"] for b in ("white", "black"))
    )
    assert "Attacked nets" in capsys.readouterr().out


def test_nets_on_wrong_labels_differ_in_what_is_compared_and_in_nothing_else():
    methods = robustness.methods(3, "cpu")
    params = {
        name: make(4).args[0].get_params()
        for name, make in methods.items()
        if name.startswith("50%")
    }
    plain = params.pop("50% wrong labels: plain training")
    differs = {name: {k for k in p if p[k] != plain[k]} for name, p in params.items()}
    assert list(differs.values()) == [{"dropout"}, {"dropout"}, {"alpha"}]
    assert robustness.ALPHAS == {0.2: 8, 0.5: 32, 0.8: 32}


def test_columns_are_on_a_common_scale_by_training_rows_alone():
    rng = np.random.default_rng(0)
    X = np.exp(3 * rng.normal(size=(120, 3)))
    (X_train, *_), clip = robustness.on_common_scale((X[:90], None, X[90:], None))
    assert clip is None
    assert abs(np.quantile(X_train, 0.84, axis=0) - 1).max() < 0.2
    changed = np.concatenate([X[:90], 100 * X[90:]])
    (again, *_), _ = robustness.on_common_scale((changed[:90], None, changed[90:], None))
    np.testing.assert_array_equal(again, X_train)
    pixels = robustness.load("digits", None)[0]
    (same, *_), clip = robustness.on_common_scale((pixels, None, pixels, None))
    assert same is pixels
    assert clip == (0, 1)


def test_tables_that_cannot_be_attacked_are_named(tmp_path):
    frame = pd.DataFrame({"x": np.arange(12.0), "target": np.arange(12) % 2})
    frame.to_csv(tmp_path / "two.csv.gz", index=False)
    with pytest.raises(ValueError, match="two: only tables of numbers"):
        robustness.load("two", tmp_path)


@pytest.fixture(scope="module")
def figure():
    pytest.importorskip("soundfile", reason="soundfile is not installed")
    import speech_figure4

    return speech_figure4


def test_figure_4_writes_its_table(figure, monkeypatch, tmp_path, capsys):
    tones = write_tones(tmp_path / "tones", words=["low", "top"], lists=True)
    names, out = "lenet 0,lenet 0.2", tmp_path / "out"
    options = ("--seeds", 1, "--epochs", 1, "--device", "cpu", "--jobs", 1, "--output", out)
    run(figure, monkeypatch, tones, "--methods", names, *options)
    results = pd.read_csv(out / "results.csv")
    assert results["part"].tolist() == ["validation", "test"] * 2
    assert (results["n_test"] == 4).all()
    assert "4 clips for training, 2 for validation, 2 for testing" in capsys.readouterr().out


def test_figure_4_has_the_papers_setting(figure):
    args = Namespace(width=1.0, epochs=30, learning_rate=0.003, device="cpu")
    net = figure.make_net("vgg11 0.1", args)
    assert (net.alpha, net.mixing, net.max_epochs) == (0.1, "mixup", 30)
    assert net.mixing_span == (1 / 6, 1)  # five epochs of thirty without
    assert (net.learning_rate_init, net.weight_decay, net.batch_size) == (0.003, 0, 100)
    (rate,) = net.callbacks
    assert (rate.policy, rate.every, rate.factor) == ("step", 10, 0.1)


def test_figure_4_compares_nets_with_the_same_seed(figure, tmp_path):
    plain, mixed = np.array([0.13, 0.14, 0.15]), np.array([0.12, 0.14, 0.13])
    rows = [
        {"method": method, "seed": seed, "part": part, "error": error}
        for method, errors in (("vgg11 0", plain), ("vgg11 0.2", mixed))
        for seed, error in enumerate(errors)
        for part in ("validation", "test")
    ]
    results = pd.DataFrame(rows).assign(failed=False, why="", table="clips")
    figure.report("about", results, tmp_path)
    change = 100 * (mixed - plain)
    # 4.302653 is the 97.5 % point of Student's t with two degrees of freedom.
    half = 4.302653 * change.std(ddof=1) / np.sqrt(3)
    ends = f"-1.00 ({-1 - half:+.2f} to {-1 + half:+.2f})"
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert f"| vgg11 0.2 | 3 | 13.00 | 13.00 | {ends} | 3.9 | 3.4 |" in text


@pytest.fixture(scope="module")
def speech_speed():
    pytest.importorskip("soundfile", reason="soundfile is not installed")
    pytest.importorskip("torchaudio.transforms", reason="torchaudio does not work")
    import speech_speed

    return speech_speed


@pytest.mark.parametrize("log", [True, False])
def test_both_sides_compute_the_same_spectrogram(speech_speed, log):
    X, _ = speech_speed.make_clips(2)
    layer = speech_speed.SpectrogramLayer(
        **({} if log else {"kind": "power", "normalize": None})
    )
    ours = layer(torch.from_numpy(X))[:, 0].numpy()
    theirs = np.stack([speech_speed.spectrogram_of("torchaudio", log)(clip) for clip in X])
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def test_every_row_of_the_speech_table_can_be_measured(speech_speed, monkeypatch, capsys):
    monkeypatch.setattr(speech_speed, "BATCH", 10)
    small = partial(speech_speed.share_of_epoch, model="bcresnet")
    monkeypatch.setattr(speech_speed, "share_of_epoch", small)
    fewer = partial(speech_speed.spectrograms, clips=4)
    monkeypatch.setattr(speech_speed, "spectrograms", fewer)
    rows = ["*/torchaudio", "epoch/waveform", "clip/bcresnet"]
    speech_speed.main(["--pairs", "1", "--rows", *rows])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 + 2 + 1 + 1
    assert {line.count("|") for line in lines[2:]} == {6}


@pytest.mark.skipif(not measuring.STATUS.exists(), reason="/proc/self/status is Linux's")
def test_memory_of_training_grows_with_the_clips(speech_speed):
    assert speech_speed.peak_of_training(400) > 400 * 2 * speech_speed.SAMPLES


# ------------------------------------------------------------------------- endurance


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_files_that_stay_open_are_counted(tmp_path):
    opened = []
    call = lambda number: opened.append(open(tmp_path / str(len(opened)), "w"))  # noqa: E731, SIM115
    *_, files, _, _ = endurance.watch("calls", call, 20).split("|")
    first, last = map(int, files.split("–"))
    assert last == first + 19
    assert len(opened) == 40
    for file in opened:
        file.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_every_kind_of_call_is_watched(capsys):
    endurance.main(["--fits", "2", "--searches", "2", "--saves", "2", "--clips", "2"])
    lines = capsys.readouterr().out.splitlines()[2:]
    kinds = ["fits and predictions", "searches", "saves and loads", "clips read"]
    assert [line.split("|")[1].strip() for line in lines] == [f"2 {kind}" for kind in kinds]


@pytest.mark.skipif(sys.platform != "linux", reason="sends signals to groups of processes")
def test_a_killed_fit_is_resumed_and_compared(capsys):
    kills.main(["--times", "2", "--rows", "fit"])
    assert capsys.readouterr().out.splitlines()[-1].endswith("| 2 of 2 |")


# ---------------------------------------------------------------------------- growth


@pytest.fixture
def growth(monkeypatch):
    growth = pytest.importorskip("growth", reason="growth.py or what it imports is missing")
    monkeypatch.setattr(growth, "METHODS", {"MixupClassifier": MixupClassifier})
    monkeypatch.setattr(growth, "find_spec", lambda name: None)  # without LightGBM
    return growth


def test_growth_is_measured_once(growth, tmp_path, capsys):
    options = ["--rows", "60", "--columns", "10", "--output", str(tmp_path)]
    growth.main(options)
    points = pd.read_json(tmp_path / "points.jsonl", lines=True)
    assert points[["axis", "size"]].to_numpy().tolist() == [["rows", 60], ["columns", 10]]
    assert (points[["fit, s", "fit, CPU s", "predict, s"]] > 0).all(axis=None)
    assert (tmp_path / "growth.png").exists()
    before = (tmp_path / "points.jsonl").read_text()
    growth.main(options)
    assert (tmp_path / "points.jsonl").read_text() == before


def test_growth_finds_what_is_worse_than_linear(growth):
    sizes = 10 ** np.arange(4, 8)
    points = pd.DataFrame({"size": sizes, **dict.fromkeys(growth.FIGURES, 1e-4 * sizes)})
    points["predict, s"] = np.where(sizes > 10**6, 1e-9 * sizes**2.0, 1e-4 * sizes)
    points = points.assign(axis="rows", method="MixupClassifier")
    lines = {line.split(" | ")[1]: line for line in list(growth.slopes(points))[2:]}
    assert "| 1.00 | 1.00 from 10,000 |" in lines["fit, s"]
    assert "one hour at 3.6e+07 rows" in lines["fit, s"]
    assert "3.00 from 1,000,000 (worse than linear)" in lines["predict, s"]
