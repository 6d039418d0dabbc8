import numpy as np
import pandas as pd
import pytest
from uci_folders import raw_table, write_raw

from mixup_tab.evaluation.robustness.plan import ALPHAS, EPS, Job, RobustnessPlan, load_table


def numbers(rows=120, classes=6):
    rng = np.random.default_rng(0)
    y = np.arange(rows) % classes
    X = rng.normal(size=(rows, 3)) + 2 * np.eye(classes, 3)[y]
    frame = pd.DataFrame(X, columns=["f1", "f2", "f3"])
    frame["f3"] = np.exp(3 * frame["f3"])  # a heavy tail
    return frame.assign(target=y)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    tables = {"six": numbers(), "two": numbers(classes=2), "mixed": raw_table()}
    return str(write_raw(home, **tables))


@pytest.fixture
def plan(home):
    return RobustnessPlan.make(["six"], repeats=2, epochs=2, data_home=home, seed=4)


def test_every_net_of_a_repeat_has_its_own_job_but_the_same_rows(plan):
    jobs = plan.jobs()
    assert len(jobs) == 2 * (1 + 3 * 4)
    first = [plan._rows(job)[0] for job in jobs if job.repeat == 0]
    assert all(np.array_equal(first[0], X) for X in first)
    assert not np.array_equal(first[0], plan._rows(jobs[-1])[0])


def test_nets_differ_in_what_is_compared_and_in_nothing_else(plan):
    X, y, *_ = plan._rows(plan.jobs()[0])
    plain = plan._net(4, alpha=0.0)
    mixed = plan._net(4, alpha=8.0).get_params()
    differs = {k for k, v in plain.get_params().items() if mixed[k] != v}
    assert differs == {"alpha"}
    assert plain.weight_decay == 0
    assert len(plain.fit(X, y).loss_curve_) == 2


def test_columns_of_tables_are_on_a_common_scale_by_training_rows_alone(plan, home):
    X_train, y_train, _, y_test = plan._rows(plan.jobs()[0])
    assert abs(X_train.mean(0)).max() < 0.2
    assert abs(np.quantile(X_train, 0.84, axis=0) - 1).max() < 0.2
    assert (len(y_train), len(y_test)) == (90, 30)
    X, _ = load_table("digits", None)
    assert (X.min(), X.max()) == (0, 1)


def test_the_same_labels_are_wrong_for_every_method(plan):
    rows = {
        method: plan.perform(Job("corruption", "six", 1, method, 0.5))
        for method in ("ERM", "dropout 0.8", "mixup", "ERM")
    }
    again = plan.perform(Job("corruption", "six", 1, "ERM", 0.5))
    pd.testing.assert_frame_equal(rows["ERM"]["corruption"], again["corruption"])
    for method, parts in rows.items():
        row = parts["corruption"].iloc[0]
        assert row[["dataset", "repeat", "method", "rate"]].tolist() == ["six", 1, method, 0.5]
        assert (row["n_corrupted"], row["n_train"], row["epochs"]) == (45, 90, 2)
        assert len(parts["curves"]) == 2


def test_nets_are_attacked_in_four_ways_at_every_eps(plan):
    (rows,) = plan.perform(Job("adversarial", "six", 0)).values()
    assert len(rows) == 3 * 4 * len(EPS)
    assert rows.groupby("method")["clean_error"].nunique().tolist() == [1, 1, 1]
    assert set(zip(rows["box"], rows["attack"], strict=True)) == {
        (box, attack) for box in ("white", "black") for attack in ("fgsm", "ifgsm")
    }
    erm = rows[rows["method"] == "ERM"].set_index(["box", "attack", "eps"])["adversarial_error"]
    assert not erm["white"].equals(erm["black"])  # which is made on another net


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"datasets": ["two"]}, "datasets=two: with 2 classes and 80% wrong labels"),
        ({"datasets": ["mixed"]}, "datasets=mixed: it has categories or missing values"),
        ({"repeats": 0}, "repeats must be at least 1, got 0"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"seed": -1}, "seed must lie in"),
        ({"device": "abacus"}, "device='abacus'"),
        ({"data_home": "nowhere"}, "data_home='nowhere' is not a folder"),
    ],
)
def test_bad_arguments_are_found_before_training(home, arguments, message):
    with pytest.raises(ValueError, match=message):
        RobustnessPlan.make(**{"datasets": ["six"], "data_home": home, **arguments})


def test_alphas_are_those_of_the_paper():
    assert ALPHAS == {0.2: 8, 0.5: 32, 0.8: 32}
