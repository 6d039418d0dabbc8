import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from mixup_tab import MLP, MixupClassifier
from mixup_tab.nets import PreparedNet
from mixup_tab.robustness.adversarial import (
    adversarial_examples,
    evaluate_adversarial,
)

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 5, "random_state": 0, "device": "cpu"}


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
    np.testing.assert_allclose(changed, best, rtol=0, atol=1e-12)
    fall = (clf.decision_function(X) - clf.decision_function(changed)) * np.where(y, 1, -1)
    np.testing.assert_allclose(fall, 0.3 * abs(towards).sum(), rtol=1e-4)


@pytest.mark.parametrize("own", [False, True])
def test_examples_are_those_of_the_adversarial_robustness_toolbox(
    three_classes, noisy_net, own
):
    pytest.importorskip("art", reason="needs adversarial-robustness-toolbox")
    from art.attacks.evasion import BasicIterativeMethod, FastGradientMethod
    from art.estimators.classification import PyTorchClassifier

    X, y = three_classes
    clf = MixupClassifier(n_estimators=1, module=noisy_net if own else None, **SMALL).fit(X, y)
    theirs = PyTorchClassifier(
        clf.net_.module_,
        loss=nn.CrossEntropyLoss(),
        input_shape=(4,),
        nb_classes=3,
        clip_values=(float(X.min()), float(X.max())),
        device_type="cpu",
    )
    clip = theirs.clip_values
    steps = {"eps": 0.5, "eps_step": 0.05, "max_iter": 10, "verbose": False}
    attacks = {
        "fgsm": FastGradientMethod(theirs, eps=0.5),
        "ifgsm": BasicIterativeMethod(theirs, **steps),
    }
    for name, attack in attacks.items():
        ours = adversarial_examples(clf, X, y, 0.5, name, clip=clip)
        np.testing.assert_allclose(ours, attack.generate(X, y), rtol=0, atol=1e-5)


@pytest.mark.parametrize("attack", ["fgsm", "ifgsm"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_no_value_moves_further_than_eps_or_out_of_range(three_classes, fitted, attack, dtype):
    X, y = three_classes
    X = X.astype(dtype)
    before = X.copy()
    clip = X.min(0), X.max(0)
    changed = adversarial_examples(fitted, X, y, 0.4, attack, clip=clip)
    np.testing.assert_array_equal(X, before)
    assert changed.dtype == (np.float32 if dtype is np.float32 else np.float64)
    assert abs(changed - X).max() <= 0.4 + 1e-6
    assert (changed >= clip[0]).all()
    assert (changed <= clip[1]).all()
    assert (changed != X).mean() > 0.5


def test_one_step_of_the_iterative_attack_is_the_other_one(three_classes, fitted):
    one = adversarial_examples(fitted, *three_classes, 0.3, "ifgsm", n_steps=1)
    np.testing.assert_array_equal(one, adversarial_examples(fitted, *three_classes, 0.3))


def test_more_steps_raise_the_loss_more_where_the_net_bends(three_classes):
    X, y = three_classes
    clf = MixupClassifier(alpha=0, n_estimators=1, **{**SMALL, "max_epochs": 60}).fit(X, y)
    losses = [
        -clf.predict_log_proba(adversarial_examples(clf, X, y, 1.5, attack))[range(60), y]
        for attack in ("fgsm", "ifgsm")
    ]
    assert losses[1].mean() > losses[0].mean()


def test_without_a_change_errors_are_clean_ones(three_classes, fitted):
    X, y = three_classes
    changed = adversarial_examples(fitted, X, y, 0)
    np.testing.assert_array_equal(changed, X)
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


def test_labels_of_any_kind(three_classes):
    X, y = three_classes
    names = np.array(["x", "y", "z"])[y]
    clf = MixupClassifier(n_estimators=2, **SMALL).fit(X, names)
    other = MixupClassifier(n_estimators=2, **SMALL).fit(X, y)
    np.testing.assert_array_equal(
        adversarial_examples(clf, X, names, 0.2), adversarial_examples(other, X, y, 0.2)
    )


def test_columns_keep_their_names_and_their_order(three_classes):
    X, y = three_classes
    frame = pd.DataFrame(X, columns=list("abcd"))
    clf = MixupClassifier(n_estimators=1, **SMALL).fit(frame, y)
    tree = DecisionTreeClassifier(random_state=0).fit(frame, y)
    changed = adversarial_examples(clf, frame, y, 0.3)
    assert list(changed) == list("abcd")
    nameless = MixupClassifier(n_estimators=1, **SMALL).fit(X, y)
    np.testing.assert_array_equal(changed, adversarial_examples(nameless, X, y, 0.3))
    evaluate_adversarial(tree, frame, y, 0.3, source=clf)  # with no warning about names
    with pytest.raises(ValueError, match="same order"):
        evaluate_adversarial(clf, frame[list("badc")], y, 0.3)


def test_an_amount_is_a_number(three_classes, fitted):
    for eps in ("a", None, True, [[0.1]]):
        with pytest.raises(TypeError, match="eps must be a number or a list of numbers"):
            evaluate_adversarial(fitted, *three_classes, eps)


def test_whole_numbers_that_a_net_scales_itself_are_refused(three_classes):
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
    with pytest.raises(ValueError, match=r"X holds whole numbers \(int16\)"):
        adversarial_examples(clf, whole, y, 0.1)
    changed = adversarial_examples(clf, whole / 1000, y, 0.1)
    assert abs(changed - whole / 1000).max() == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attack": "pgd"}, r"attack must be one of \['fgsm', 'ifgsm'\], got 'pgd'"),
        ({"eps": -0.1}, "eps must be a finite number of at least 0, got -0.1"),
        ({"eps": [0.1, float("inf")]}, "got inf"),
        ({"eps": []}, "eps=.* holds no number"),
        ({"n_steps": 0}, "n_steps must be a whole number of at least 1, got 0"),
        ({"n_steps": 2.5}, "n_steps must be a whole number of at least 1, got 2.5"),
        ({"clip": 5}, "clip=5 must be a pair of the lowest and the highest"),
        ({"clip": (-9, [1, 2])}, r"clip=.* must be a pair"),
        ({"clip": (None, 9)}, r"clip=.* leaves out values of X"),
        ({"X": np.zeros((60, 2))}, "X has 2 features, but MixupClassifier is expecting 4"),
        ({"clip": (0, 1)}, r"clip=\(0, 1\) leaves out values of X, which run from -"),
        ({"y": np.full(60, 9)}, "y holds 9, a label that the net has not seen"),
        ({"X": np.full((60, 4), np.nan)}, "X contains NaN"),
        ({"y": [0, 1]}, "inconsistent numbers of samples"),
    ],
)
def test_bad_arguments(three_classes, fitted, arguments, message):
    X, y = three_classes
    with pytest.raises(ValueError, match=message):
        evaluate_adversarial(fitted, **{"X": X, "y": y, "eps": 0.1, **arguments})
