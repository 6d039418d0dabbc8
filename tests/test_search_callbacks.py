"""scikit-learn's own callbacks (1.9 and later) on a search and on its nets."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mixup_tab import MixupClassifier, MixupSearchCV

callback = pytest.importorskip(
    "sklearn.callback", reason="scikit-learn has callbacks from 1.9 on"
)

NET = MixupClassifier(hidden_layer_sizes=(4,), max_epochs=3, random_state=0)
GRID = {"alpha": [0, 0.3], "hidden_layer_sizes": [(3,), (4,)]}


def make(net=NET, grid=GRID, **params):
    return MixupSearchCV(net, grid, **{"cv": 2, "scoring": "neg_log_loss", **params})


class Recording:
    """A FitCallback that notes its calls."""

    def __init__(self):
        self.told, self.seen = [], []

    def setup(self, estimator, context):
        self.told.append("setup")

    def teardown(self, estimator, context):
        self.told.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.told.append(f"begin {context.estimator_name} {context.task_name}")
        self.seen.append((estimator, X, y))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None):
        self.told.append(f"end {context.estimator_name} {context.task_name}")


def assert_same_scores(first, second):
    for key in first.cv_results_:
        if "_time" not in key:
            np.testing.assert_array_equal(
                first.cv_results_[key], second.cv_results_[key], err_msg=key
            )


# ----------------------------------------------------------------------- on the search


@pytest.mark.parametrize("refit", [True, False])
def test_a_callback_hears_of_the_search_and_changes_no_result(refit, two_classes):
    recording = Recording()
    grid = {"mixupclassifier__alpha": [0, 0.3]}
    model = make_pipeline(StandardScaler(), NET)
    search = make(model, grid, refit=refit).set_callbacks(recording).fit(*two_classes)
    assert recording.told[:2] == ["setup", "begin MixupSearchCV fit"]
    assert recording.told[-2:] == ["end MixupSearchCV fit", "teardown"]
    begun = [told[6:] for told in recording.told if told.startswith("begin ")]
    ended = [told[4:] for told in recording.told if told.startswith("end ")]
    assert sorted(begun) == sorted(ended)
    estimator, X, y = recording.seen[0]
    assert estimator is search
    np.testing.assert_array_equal(X, two_classes[0])
    np.testing.assert_array_equal(y, two_classes[1])
    assert not [name for name in vars(search) if name.startswith("_callback")]
    plain = make(model, grid, refit=refit).fit(*two_classes)
    assert_same_scores(search, plain)
    if refit:
        np.testing.assert_array_equal(search.predict_proba(X), plain.predict_proba(X))


def test_a_callback_is_torn_down_after_an_error(two_classes):
    recording = Recording()
    search = make(grid={"learning_rate_init": [1e30]}).set_callbacks(recording)
    with pytest.raises(ValueError, match="All the 2 fits failed"):
        search.fit(*two_classes)
    name = "MixupSearchCV"
    tasks = [f"begin {name} fit", f"begin {name} search", f"end {name} search"]
    assert recording.told == ["setup", *tasks, "teardown"]


def test_callbacks_stay_set_for_the_next_fit_and_for_clones(two_classes):
    recording = Recording()
    search = make(grid={"alpha": [0.3]}).set_callbacks(recording).fit(*two_classes)
    once = list(recording.told)
    search.fit(*two_classes)
    assert recording.told == 2 * once
    clone(search).fit(*two_classes)
    assert recording.told == 3 * once


def test_progress_bar_of_a_search(two_classes, capsys):
    watched = make().set_callbacks(callback.ProgressBar()).fit(*two_classes)
    shown = capsys.readouterr().out
    assert "MixupSearchCV" in shown
    assert "100%" in shown
    assert_same_scores(watched, make().fit(*two_classes))


# ------------------------------------------------------------------------- on the nets


def test_callbacks_of_the_nets_hear_of_every_epoch(two_classes):
    recording = Recording()
    net = clone(NET).set_callbacks(recording)
    make(net, n_jobs=1, refit=False).fit(*two_classes)
    assert recording.told.count("begin MixupClassifier fit") == 4 * 2
    assert recording.told.count("end MixupClassifier epoch") == 4 * 2 * 3


def test_callbacks_of_the_nets_change_no_result(two_classes):
    """Such nets are trained one by one, which is the same up to rounding."""
    watched = make(clone(NET).set_callbacks(Recording()), n_jobs=2).fit(*two_classes)
    plain = make().fit(*two_classes)
    assert watched.best_params_ == plain.best_params_
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_allclose(
            watched.cv_results_[name], plain.cv_results_[name], rtol=1e-4
        )


def test_what_a_callback_has_noted_does_not_make_another_search(two_classes, tmp_path):
    """A checkpoint is of the nets, not of those who watch them."""
    net = clone(NET).set_callbacks(Recording())
    searches = [make(net, checkpoint=tmp_path / "search.jsonl") for _ in "ab"]
    first, second = (search.fit(*two_classes) for search in searches)
    assert_same_scores(first, second)
