import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from tone_folders import write_tones

from mixup_tab.evaluation.speech.figure import carry_out_figure
from mixup_tab.evaluation.speech.figure_plan import FigurePlan
from mixup_tab.evaluation.speech.figure_report import (
    PUBLISHED,
    describe,
    draw_figure,
    run,
    sentence,
    summarize_figure,
)
from mixup_tab.training.state import mixed_epochs

QUIET = {"console": Console(quiet=True)}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    words = ["low", "top"]
    return write_tones(tmp_path_factory.mktemp("clips") / "tones", words=words, lists=True)


@pytest.fixture(scope="module")
def plan(clips):
    return FigurePlan.make(clips, nets=["lenet"], alphas=[0.2], seeds=1, epochs=1, device="cpu")


def test_the_plan_is_the_papers_setting(plan, clips):
    paper = FigurePlan.make(clips, epochs=30, learning_rate=0.003, device="cpu")
    assert [(one.net, one.alpha) for one in paper.fits()] == [
        (net, alpha) for net in ("lenet", "vgg11") for alpha in (0, 0.1, 0.2)
    ] * 3
    net = paper.pipeline(paper.fits()[4])[-1]
    assert (net.alpha, net.mixing, net.max_epochs) == (0.1, "mixup", 30)
    assert mixed_epochs(net.mixing_span, 30) == [False] * 5 + [True] * 25
    assert (net.learning_rate_init, net.weight_decay) == (0.003, 0)
    (rate,) = net.callbacks
    assert (rate.policy, rate.every, rate.factor) == ("step", 10, 0.1)
    assert paper.width == 0.25
    assert any("0.25 of its channels" in line for line in describe(paper))


def test_a_small_folder_is_trained_on_for_longer_and_more_slowly_and_it_says_so(clips):
    small = FigurePlan.make(clips, device="cpu")
    assert (small.epochs, small.learning_rate) == (60, 0.001)
    assert FigurePlan.make(clips, width=0.0, device="cpu").width == 0  # not the default
    told = " ".join(describe(small))
    assert "Adam at 0.001" in told
    assert "The paper trains for 30 epochs" in told
    assert "The paper's learning rate is 0.003" in told


def test_what_is_done_is_written_and_not_done_again(plan, tmp_path):
    session = carry_out_figure(plan, output=tmp_path, **QUIET)
    assert session.finished
    results = session.results
    assert results["protocol"].tolist() == ["validation", "test"] * 2
    assert results["method"].tolist() == ["lenet α=0"] * 2 + ["lenet α=0.2"] * 2
    assert (results["n_test"] == 2).all()
    assert not list(tmp_path.glob("*.checkpoint"))
    written = (tmp_path / "results.csv").read_bytes()
    # Half a line, as after a kill; and a score that was not written.
    (tmp_path / "results.csv").write_bytes(written[:-30])
    again = carry_out_figure(plan, output=tmp_path, **QUIET).results
    same = ["protocol", "method", "accuracy", "log_loss", "alpha"]
    pd.testing.assert_frame_equal(again[same], results[same])


def test_another_run_in_the_folder_is_refused(clips, tmp_path):
    common = {"nets": ["lenet"], "alphas": [0.2], "seeds": 1, "device": "cpu"}
    (tmp_path / "run.json").write_text(
        '{"identity": {"protocol": "speech", "epochs": 2}, "sessions": []}'
    )
    with pytest.raises(ValueError, match="holds another run"):
        run(clips, output=tmp_path, epochs=1, **common, **QUIET)


def made_up():
    """Validation and test errors of two nets, three values of α and three seeds."""
    rng = np.random.default_rng(0)
    rows = [
        (part, f"{net} α={alpha:g}", seed, f"{alpha:g}", rng.uniform(0.02, 0.1))
        for net in PUBLISHED
        for alpha in (0, 0.1, 0.2)
        for seed in range(3)
        for part in ("validation", "test")
    ]
    return pd.DataFrame(rows, columns=["protocol", "method", "seed", "alpha", "error"])


def test_the_summary_is_means_and_paired_differences():
    results = made_up()
    errors, differences = summarize_figure(results)
    assert errors["seeds"].tolist() == [3] * 6

    def tested(method):
        rows = results[(results["method"] == method) & (results["protocol"] == "test")]
        return 100 * rows["error"].to_numpy()

    row = errors[(errors["net"] == "vgg11") & (errors["α"] == 0.2)].iloc[0]
    assert row["test %"] == pytest.approx(tested("vgg11 α=0.2").mean())
    assert (row["paper's validation %"], row["paper's test %"]) == (3.9, 3.4)
    change = tested("vgg11 α=0.2") - tested("vgg11 α=0")
    row = differences[(differences["net"] == "vgg11") & (differences["α"] == 0.2)].iloc[0]
    assert row["difference"] == pytest.approx(change.mean())
    # 4.302653 is the 97.5 % point of Student's t with two degrees of freedom.
    half = 4.302653 * change.std(ddof=1) / np.sqrt(3)
    assert row["high"] - row["difference"] == pytest.approx(half)
    assert f"{change.mean():+.2f} points at α = 0.2" in sentence(differences)
    figure = draw_figure(errors)
    assert [ax.get_title() for ax in figure.axes] == ["lenet", "vgg11"]


def test_a_run_that_has_just_begun_is_summed_up():
    first = made_up().query("method == 'lenet α=0.1'")
    errors, differences = summarize_figure(first)
    assert len(errors) == 1
    assert differences.empty
    assert "No net has" in sentence(differences)
    errors, differences = summarize_figure(first.head(1))
    assert errors.empty


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nets": ["alexnet"]}, "nets must be some of"),
        ({"nets": []}, "nets must be some of"),
        ({"alphas": [-1]}, "alpha must be a finite number of at least 0"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"learning_rate": 0}, "learning_rate must be positive"),
    ],
)
def test_options_that_make_no_plan(clips, options, message):
    with pytest.raises(ValueError, match=message):
        FigurePlan.make(clips, **options)
