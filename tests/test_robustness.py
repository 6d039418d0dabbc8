"""Wrong training labels and adversarial examples."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from mixup_tab import (
    MLP,
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupRegressor,
    MixupSearchCV,
)
from mixup_tab.nets import PreparedNet
from mixup_tab.robustness import (
    adversarial_examples,
    corrupt_labels,
    evaluate_adversarial,
    evaluate_corruption,
)
from mixup_tab.robustness._gradients import differentiable, loss_direction
from mixup_tab.robustness.corruption import _TestErrors
from mixup_tab.sampling import VicinalSampler

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 4, "random_state": 0, "device": "cpu"}


# ------------------------------------------------------------------------- wrong labels


@pytest.mark.parametrize("rate", [0, 0.2, 0.55, 1])
def test_the_given_share_of_labels_is_changed_to_other_classes(rate):
    y = np.array(["a", "b", "c"])[np.arange(60) % 3]
    given, changed = corrupt_labels(y, rate, random_state=1)
    assert changed.sum() == round(rate * 60)
    assert_array_equal(given != y, changed)
    assert set(given) <= set(y)
    half, few = corrupt_labels(y, rate / 2, random_state=1)  # part of the same changes
    assert changed[few].all()
    assert_array_equal(half[few], given[few])


def test_other_classes_are_equally_likely():
    given, _ = corrupt_labels([*[0] * 8000, 1, 2, 3, 4], 1, 0)
    counts = np.bincount(given[:8000], minlength=5)
    assert counts[0] == 0
    assert abs(counts[1:] - 2000).max() < 5 * np.sqrt(8000 * 0.25 * 0.75)


def test_a_nearest_neighbour_memorises_everything_and_the_nearest_centroid_nothing():
    X, y = make_blobs(300, centers=10 * np.eye(6), random_state=0)
    results = evaluate_corruption(KNeighborsClassifier(1), X, y, [0.2, 0.5], cv=3)
    assert (results[["train_error_real", "train_error_corrupted"]] == 0).all(axis=None)
    by_rate = results.groupby("rate")["last_test_error"].mean()
    assert by_rate.to_dict() == pytest.approx({0.2: 0.2, 0.5: 0.5}, abs=0.1)
    assert results["best_test_error"].isna().all()
    assert results["n_corrupted"].tolist() == [40, 100] * 3
    results = evaluate_corruption(NearestCentroid(), X, y, 0.3, cv=3, random_state=0)
    assert (results["train_error_corrupted"] > 0.9).all()
    assert (results[["train_error_real", "last_test_error"]] < 0.1).all(axis=None)


def test_without_wrong_labels_errors_are_those_of_a_plain_fit(three_classes):
    X, y = three_classes
    y = np.array(["x", "y", "z"])[y]
    net = MixupClassifier(n_estimators=2, **SMALL)
    cv = StratifiedKFold(3, shuffle=True, random_state=0)
    results, curves = evaluate_corruption(net, X, y, 0, cv=cv, return_curves=True)
    for number, (train, test) in enumerate(cv.split(X, y)):
        net.fit(X[train], y[train])
        row = results.iloc[number]
        assert row["last_test_error"] == np.mean(net.predict(X[test]) != y[test])
        assert row["train_error_real"] == np.mean(net.predict(X[train]) != y[train])
        assert np.isnan(row["train_error_corrupted"])
        curve = curves[curves["split"] == number]["test_error"].to_numpy()
        assert len(curve) == row["epochs"] == 4
        assert curve[-1] == row["last_test_error"]
        assert row["best_test_error"] == curve.min() == curve[int(row["best_epoch"]) - 1]


def test_epochs_of_a_pipeline_are_scored_on_transformed_rows(three_classes):
    X, y = three_classes
    X = X * [1, 10, 100, 1000]
    pipeline = make_pipeline(StandardScaler(), MixupClassifier(**SMALL))
    given = {"X_test": X[::2], "y_test": y[::2]}
    results, curves = evaluate_corruption(pipeline, X, y, 0, **given, return_curves=True)
    assert pipeline[-1].callbacks is None
    assert not hasattr(pipeline[-1], "net_")
    expected = np.mean(pipeline.fit(X, y).predict(X[::2]) != y[::2])
    assert results["last_test_error"].tolist() == [expected]
    assert curves["test_error"].iloc[-1] == expected


def test_a_sampler_in_a_pipeline_draws_from_training_rows_only(three_classes):
    pipeline = pytest.importorskip("imblearn.pipeline", reason="needs imbalanced-learn")
    steps = StandardScaler(), VicinalSampler(0, random_state=0), MixupClassifier(**SMALL)
    with_sampler, without = (
        evaluate_corruption(model, *three_classes, 0.2, cv=2, random_state=0)
        for model in (pipeline.make_pipeline(*steps), make_pipeline(steps[0], steps[2]))
    )
    assert with_sampler["best_test_error"].isna().all()
    counts = ["n_train", "n_corrupted", "n_test"]
    assert with_sampler[counts].equals(without[counts])


def test_a_class_without_training_rows_is_always_wrong(three_classes):
    X, y = three_classes
    two = y < 2
    given = {"X_test": X[y == 2], "y_test": y[y == 2]}
    net = MixupClassifier(**SMALL)
    results, curves = evaluate_corruption(net, X[two], y[two], 0, **given, return_curves=True)
    assert results["last_test_error"].tolist() == [1.0]
    assert (curves["test_error"] == 1).all()


def test_all_estimators_get_the_same_wrong_labels(three_classes):
    models = MixupClassifier(**SMALL), KNeighborsClassifier(1)
    alike = [evaluate_corruption(m, *three_classes, 0.3, cv=3, random_state=5) for m in models]
    again = evaluate_corruption(models[1], *three_classes, 0.3, cv=3, random_state=5)
    assert alike[1].equals(again)
    assert not alike[0]["last_test_error"].equals(alike[1]["last_test_error"])


@pytest.mark.parametrize("own", [False, True])
def test_scoring_epochs_does_not_change_training(three_classes, noisy_net, own):
    X, y = three_classes
    params = {**SMALL, "n_estimators": 2, "module": noisy_net if own else None}
    alone = MixupClassifier(**params).fit(X, y)
    scored = MixupClassifier(callbacks=[_TestErrors(X, y)], **params).fit(X, y)
    assert scored.loss_curve_ == alone.loss_curve_
    assert scored.net_.uses_manual_backward() is not own
    assert_array_equal(scored.predict_proba(X), alone.predict_proba(X))


def test_few_classes_and_many_wrong_labels(two_classes):
    with pytest.warns(UserWarning, match=r"rates=0.8 with 2 classes: above 0.50"):
        evaluate_corruption(KNeighborsClassifier(1), *two_classes, [0.2, 0.8], cv=2)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"rates": [0.2, 1.2]}, ValueError, r"rates must be in \[0, 1\] .* got 1.2"),
        ({"rates": float("nan")}, ValueError, r"rates must be in \[0, 1\] .* got nan"),
        ({"X_test": [[0.0] * 4]}, ValueError, "y_test is missing. Pass both"),
        ({"estimator": LinearRegression()}, TypeError, "classifier.*got LinearReg"),
        ({"y": np.zeros(60)}, ValueError, "y must hold labels of at least 2 classes, got 1"),
        ({"y": np.array([0, 1, np.nan] * 20)}, ValueError, "y holds missing labels"),
        ({"y": np.array(["a", None] * 30, object)}, ValueError, "y holds missing labels"),
        ({"rates": "many"}, TypeError, r"rates must be numbers in \[0, 1\], got 'many'"),
        ({"rates": []}, ValueError, "rates must hold at least one number"),
        ({"X_test": np.zeros((2, 3)), "y_test": [0, 1]}, ValueError, "the features of X"),
        ({"X_test": np.zeros((2, 4)), "y_test": [0]}, ValueError, "inconsistent numbers"),
        ({"X_test": np.zeros((0, 4)), "y_test": []}, ValueError, "at least one row"),
        ({"X": csr_matrix(np.eye(60)[:, :4])}, TypeError, "Sparse input is not supported"),
        ({"estimator": None}, TypeError, "must be a classifier.*got NoneType"),
    ],
)
def test_bad_arguments_of_evaluate_corruption(three_classes, arguments, kind, message):
    X, y = three_classes
    given = {"estimator": MixupClassifier(**SMALL), "X": X, "y": y, "rates": 0, "cv": 2}
    with pytest.raises(kind, match=message):
        evaluate_corruption(**{**given, **arguments})


# ------------------------------------------------------------------ adversarial examples


@pytest.fixture
def fitted(three_classes):
    return MixupClassifier(n_estimators=2, **SMALL).fit(*three_classes)


@pytest.mark.parametrize("attack", ["fgsm", "ifgsm"])
def test_a_linear_net_is_attacked_in_the_best_possible_way(two_classes, attack):
    X, y = two_classes
    X = X.astype(np.float64)
    clf = MixupClassifier(module=MLP, n_estimators=1, **{**SMALL, "hidden_layer_sizes": ()})
    clf.fit(X, y)
    weight = clf.net_.module_.weight0.detach().double().numpy()[0]
    towards = weight[1] - weight[0]
    changed = adversarial_examples(clf, X, y, 0.3, attack)
    best = X + 0.3 * np.where(y, -1, 1)[:, None] * np.sign(towards)
    assert_allclose(changed, best, rtol=0, atol=1e-12)
    fall = (clf.decision_function(X) - clf.decision_function(changed)) * np.where(y, 1, -1)
    assert_allclose(fall, 0.3 * abs(towards).sum(), rtol=1e-4)


@pytest.mark.parametrize("own", [False, True])
def test_examples_are_those_of_adversarial_robustness_toolbox(three_classes, noisy_net, own):
    pytest.importorskip("art", reason="needs adversarial-robustness-toolbox")
    from art.attacks.evasion import BasicIterativeMethod, FastGradientMethod
    from art.estimators.classification import PyTorchClassifier

    X, y = three_classes
    clf = MixupClassifier(n_estimators=1, module=noisy_net if own else None, **SMALL).fit(X, y)
    clip = float(X.min()), float(X.max())
    settings = {"loss": nn.CrossEntropyLoss(), "clip_values": clip, "device_type": "cpu"}
    theirs = PyTorchClassifier(clf.net_.module_, input_shape=(4,), nb_classes=3, **settings)
    steps = {"eps": 0.5, "eps_step": 0.05, "max_iter": 10, "verbose": False}
    for name, attack in (
        ("fgsm", FastGradientMethod(theirs, eps=0.5)),
        ("ifgsm", BasicIterativeMethod(theirs, **steps)),
    ):
        ours = adversarial_examples(clf, X, y, 0.5, name, clip=clip)
        assert_allclose(ours, attack.generate(X, y), rtol=0, atol=1e-5)


@pytest.mark.parametrize("attack", ["fgsm", "ifgsm"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_no_value_moves_further_than_eps_or_out_of_range(three_classes, fitted, attack, dtype):
    X, y = three_classes
    X = X.astype(dtype)
    before = X.copy()
    clip = X.min(0), X.max(0)
    changed = adversarial_examples(fitted, X, y, 0.4, attack, clip=clip)
    assert_array_equal(X, before)
    assert changed.dtype == (np.float32 if dtype is np.float32 else np.float64)
    assert abs(changed - X).max() <= 0.4 + 1e-6
    assert (changed >= clip[0]).all()
    assert (changed <= clip[1]).all()
    assert (changed != X).mean() > 0.5


def test_steps_of_the_iterative_attack(three_classes, fitted):
    X, y = three_classes
    one = adversarial_examples(fitted, X, y, 0.3, "ifgsm", n_steps=1)
    assert_array_equal(one, adversarial_examples(fitted, X, y, 0.3))
    clf = MixupClassifier(alpha=0, n_estimators=1, **{**SMALL, "max_epochs": 60}).fit(X, y)
    fgsm, ifgsm = (
        clf.predict_log_proba(adversarial_examples(clf, X, y, 1.5, attack))[range(60), y]
        for attack in ("fgsm", "ifgsm")
    )
    assert ifgsm.mean() < fgsm.mean()  # more steps do better where the net bends


def test_without_a_change_errors_are_clean_ones(three_classes, fitted):
    X, y = three_classes
    changed = adversarial_examples(fitted, X, y, 0)
    assert_array_equal(changed, X)
    assert not np.shares_memory(changed, X)
    results = evaluate_adversarial(fitted, X, y, [0, 1.0])
    clean = np.mean(fitted.predict(X) != y)
    assert results["clean_error"].tolist() == [clean, clean]
    assert results["adversarial_error"][0] == clean
    assert results["adversarial_error"][1] > clean


def test_black_box_examples_are_made_on_the_source(three_classes, fitted):
    X, y = three_classes
    source = MixupClassifier(alpha=0, **{**SMALL, "random_state": 7}).fit(X, y)
    target = KNeighborsClassifier(3).fit(X, y)  # has no gradients itself
    results = evaluate_adversarial(target, X, y, 1.0, "ifgsm", source, n_steps=4)
    changed = adversarial_examples(source, X, y, 1.0, "ifgsm", n_steps=4)
    assert results["adversarial_error"].tolist() == [np.mean(target.predict(changed) != y)]
    assert results[["box", "attack", "eps"]].to_numpy().tolist() == [["black", "ifgsm", 1.0]]
    assert evaluate_adversarial(fitted, X, y, 1.0)["box"].tolist() == ["white"]


def test_labels_of_any_kind(three_classes, fitted):
    X, y = three_classes
    names = np.array(["x", "y", "z"])[y]
    clf = MixupClassifier(n_estimators=2, **SMALL).fit(X, names)
    expected = adversarial_examples(fitted, X, y, 0.2)
    assert_array_equal(adversarial_examples(clf, X, names, 0.2), expected)


def test_columns_keep_their_names_and_their_order(three_classes):
    X, y = three_classes
    frame = pd.DataFrame(X, columns=list("abcd"))
    clf = MixupClassifier(n_estimators=1, **SMALL).fit(frame, y)
    tree = DecisionTreeClassifier(random_state=0).fit(frame, y)
    changed = adversarial_examples(clf, frame, y, 0.3)
    assert list(changed) == list("abcd")
    nameless = MixupClassifier(n_estimators=1, **SMALL).fit(X, y)
    assert_array_equal(changed, adversarial_examples(nameless, X, y, 0.3))
    evaluate_adversarial(tree, frame, y, 0.3, source=clf)  # with no warning about names
    with pytest.raises(ValueError, match="same order"):
        evaluate_adversarial(clf, frame[list("badc")], y, 0.3)


def test_an_amount_is_a_number(three_classes, fitted):
    for eps in ("a", None, True, [[0.1]]):
        with pytest.raises(TypeError, match="eps must be a number or a list of numbers"):
            evaluate_adversarial(fitted, *three_classes, eps)


def test_integers_that_a_net_scales_itself_are_refused(three_classes):
    class Samples(PreparedNet):
        def __init__(self, in_features, out_features):
            super().__init__()
            self.layer = nn.Linear(in_features, out_features)

        def prepare(self, x):
            return x if x.is_floating_point() else x.float() / 1000

        def body(self, x):
            return self.layer(x)

    X, y = three_classes
    whole = (1000 * X).astype(np.int16)
    clf = MixupClassifier(module=Samples, max_epochs=2, random_state=0).fit(whole, y)
    with pytest.raises(ValueError, match=r"X must hold floats.*got int16"):
        adversarial_examples(clf, whole, y, 0.1)
    changed = adversarial_examples(clf, whole / 1000, y, 0.1)
    assert abs(changed - whole / 1000).max() == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attack": "pgd"}, r"attack must be one of \['fgsm', 'ifgsm'\], got 'pgd'"),
        ({"eps": -0.1}, "eps must be a finite number of at least 0, got -0.1"),
        ({"eps": [0.1, float("inf")]}, "got inf"),
        ({"eps": []}, "eps must hold at least one number"),
        ({"n_steps": 0}, "n_steps must be an integer of at least 1, got 0"),
        ({"n_steps": 2.5}, "n_steps must be an integer of at least 1, got 2.5"),
        ({"clip": 5}, "clip must be a pair of the lowest and the highest.*got 5"),
        ({"clip": (-9, [1, 2])}, "clip must be a pair"),
        ({"clip": (None, 9)}, "clip must include all values of X"),
        ({"X": np.zeros((60, 2))}, "X has 2 features, but MixupClassifier is expecting 4"),
        ({"clip": (0, 1)}, r"all values of X, from -.*got \(0, 1\)"),
        ({"y": np.full(60, 9)}, "y holds the label 9"),
        ({"X": np.full((60, 4), np.nan)}, "X contains NaN"),
        ({"y": [0, 1]}, "inconsistent numbers of samples"),
    ],
)
def test_bad_arguments_of_evaluate_adversarial(three_classes, fitted, arguments, message):
    X, y = three_classes
    with pytest.raises(ValueError, match=message):
        evaluate_adversarial(fitted, **{"X": X, "y": y, "eps": 0.1, **arguments})


# ---------------------------------------------------------------------------- gradients


def numeric_gradient(clf, X, codes, step):
    """Central differences of the log-loss, shape of X."""
    gradient = np.empty(X.shape)
    rows = np.arange(len(X))
    for place in np.ndindex(X.shape[1:]):
        losses = []
        for sign in (1, -1):
            moved = X.copy()
            moved[(slice(None), *place)] += sign * step
            losses.append(-np.log(clf.predict_proba(moved)[rows, codes]))
        gradient[(slice(None), *place)] = (losses[0] - losses[1]) / (2 * step)
    return gradient


def classifiers(noisy_net):
    two = [{"hidden_layer_sizes": (8,), "max_epochs": 4, "alpha": 0.2}]
    two.append({**two[0], "alpha": 0, "embedding": "quantile"})
    return {
        "one net": MixupClassifier(embedding="none", **SMALL),
        "ensemble": MixupClassifier(embedding="none", n_estimators=3, **SMALL),
        "bins": MixupClassifier(embedding="quantile", n_estimators=2, **SMALL),
        "own modules": MixupClassifier(module=noisy_net, n_estimators=2, **SMALL),
        "cross-fitted": MixupEnsembleClassifier(
            candidates=two, cv=2, random_state=0, device="cpu"
        ),
        "search": MixupSearchCV(MixupClassifier(**SMALL), {"alpha": [0, 0.3]}, cv=2),
    }


def unevenly_weighted(clf, X, y):
    """Give the nets of a cross-fitted ensemble other weights and another temperature."""
    nets = [MixupClassifier(alpha, **SMALL).fit(X, y) for alpha in (0, 1)]
    clf.estimators_, clf.weights_ = [nets[:1], nets], np.array([0.9, 0.1])
    clf.temperature_ = 0.5
    return clf


@pytest.mark.parametrize(
    "name", ["one net", "ensemble", "bins", "own modules", "cross-fitted", "search"]
)
def test_signs_are_those_of_finite_differences(name, three_classes, noisy_net):
    X, y = three_classes
    clf = classifiers(noisy_net)[name].fit(X, y)
    if name == "cross-fitted":
        clf = unevenly_weighted(clf, X, y)
    X = X.astype(np.float64) + 1e-3  # off the edges of bins
    # Own modules compute in single precision, which has room for few digits.
    step, least = (1e-2, 1e-2) if name == "own modules" else (1e-5, 1e-6)
    expected = numeric_gradient(clf, X, y, step)
    clear = abs(expected) > least
    assert clear.mean() > 0.8
    signs = loss_direction(differentiable(clf), X, y)
    same = (signs == np.sign(expected))[clear].mean()
    # A step of this width may cross a kink of a ReLU.
    assert same > 0.97 if name == "own modules" else same == 1


def test_an_overconfident_net_can_be_attacked(two_classes):
    X, y = two_classes
    clf = MixupClassifier(embedding="none", **SMALL).fit(X, y)
    expected = np.sign(numeric_gradient(clf, X.astype(np.float64), y, 1e-5))
    with torch.no_grad():  # the more likely class stays the same
        for parameter in list(clf.net_.module_.parameters())[-2:]:
            parameter.mul_(1e6)
    assert (clf.predict_proba(X).max(1) == 1).mean() > 0.9
    assert_array_equal(loss_direction(clf, X, y), expected)


def test_images_keep_their_axes():
    class OnImages(nn.Module):
        def __init__(self, input_shape, out_features):
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(12, out_features))

        def forward(self, x):
            return self.layers(x)

    X = np.random.default_rng(0).normal(size=(30, 1, 3, 4)).astype(np.float32)
    y = np.arange(30) % 2
    clf = MixupClassifier(module=OnImages, max_epochs=2, random_state=0).fit(X, y)
    signs = loss_direction(clf, X, y)
    weight = clf.net_.module_.layers[1].weight.detach().numpy()
    towards = np.sign(weight[1] - weight[0]).reshape(1, 3, 4)
    assert_array_equal(signs, np.where(y, -1, 1)[:, None, None, None] * towards)


def test_nets_are_attacked_as_they_predict(three_classes, noisy_net):
    X, y = three_classes
    clf = MixupClassifier(module=noisy_net, **SMALL).fit(X, y)
    clf.net_.module_.train()
    before = {k: v.clone() for k, v in clf.net_.module_.state_dict().items()}
    first, second = (loss_direction(clf, X, y) for _ in "ab")
    assert_array_equal(first, second)
    for name, tensor in clf.net_.module_.state_dict().items():
        assert torch.equal(tensor, before[name])


class Rounded(nn.Linear):
    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)

    def forward(self, x):
        return super().forward(x.round())


class Detached(Rounded):
    def forward(self, x):
        return super().forward(x.detach())


@pytest.mark.parametrize(
    ("module", "message"),
    [(Rounded, "zero for every row"), (Detached, "No gradient reaches the inputs")],
)
def test_nets_without_a_gradient(module, message, three_classes):
    clf = MixupClassifier(module=module, max_epochs=1, random_state=0).fit(*three_classes)
    with pytest.raises(ValueError, match=message):
        loss_direction(clf, *three_classes)


def test_what_cannot_be_differentiated(three_classes, line):
    net = MixupClassifier(**SMALL)
    with pytest.raises(NotFittedError):
        differentiable(net)
    pipeline = make_pipeline(StandardScaler(), net).fit(*three_classes)
    with pytest.raises(TypeError, match=r"source is a Pipeline.* pass pipeline\[-1\]"):
        differentiable(pipeline, "source")
    linear = LogisticRegression().fit(*three_classes)
    mixed = MixupEnsembleClassifier(
        candidates=[{"max_epochs": 1}, linear], cv=2, random_state=0
    )
    with pytest.raises(
        TypeError, match=r"ensemble that contains LogisticRegression.*n_candidates=6"
    ):
        differentiable(mixed.fit(*three_classes))
    for other in (linear, MixupRegressor(**SMALL).fit(*line)):
        with pytest.raises(TypeError, match=f"estimator must .*got {type(other).__name__}"):
            differentiable(other)
