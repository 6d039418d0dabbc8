"""Columns of categories: as in scikit-learn, and what nets make of them."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import cross_val_score

from mixup_tab import (
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupNet,
    MixupRegressor,
    MixupSearchCV,
)
from mixup_tab.estimators.categories import code_categories, find_categories
from mixup_tab.robustness import adversarial_examples

SMALL = {"hidden_layer_sizes": (16,), "n_estimators": 1, "random_state": 0, "device": "cpu"}
LEVELS = ["azure", "black", "coral", "dusk"]


def table(rows=300, seed=0):
    """Two numbers, two columns of categories with gaps, and labels that hang on one of them."""
    rng = np.random.default_rng(seed)
    color = rng.choice(LEVELS, rows)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=rows),
            "color": pd.Categorical(np.where(rng.random(rows) < 0.1, None, color)),
            "count": rng.integers(0, 9, rows),
            "code": pd.Categorical(rng.integers(0, 3, rows) * 10),
        }
    )
    return frame, np.where(np.isin(color, LEVELS[:2]), "yes", "no")


def as_arrays(frame):
    """The same with plain dtypes."""
    return frame.astype({"color": object, "code": int})


GIVEN = {
    "from dtype": (lambda X: X, "from_dtype"),
    "names": (as_arrays, ["color", "code"]),
    "indices": (as_arrays, [3, 1]),
    "a mask": (as_arrays, np.array([False, True, False, True])),
    "an array of objects": (lambda X: as_arrays(X).to_numpy(), [1, 3]),
}


@pytest.mark.parametrize(("given", "features"), GIVEN.values(), ids=GIVEN)
def test_categories_are_those_of_gradient_boosting(given, features):
    X, y = table()
    reference = MixupClassifier(max_epochs=8, **SMALL).fit(X, y)
    net = MixupClassifier(max_epochs=8, categorical_features=features, **SMALL)
    net.fit(given(X), y)
    boosted = HistGradientBoostingClassifier(categorical_features=features, max_iter=1)
    assert_array_equal(net.is_categorical_, boosted.fit(given(X), y).is_categorical_)
    assert [part.tolist() for part in net.categories_] == [LEVELS, [0, 10, 20]]
    assert_allclose(net.predict_proba(given(X)), reference.predict_proba(X), atol=1e-6)
    assert reference.score(*table(seed=1)) > 0.85


def test_polars_has_categories_too():
    polars = pytest.importorskip("polars", reason="polars is not installed")
    pytest.importorskip("pyarrow", reason="polars needs pyarrow here")
    X, y = table()
    X["code"] = X["code"].astype(str).astype("category")
    given = polars.from_pandas(X)
    one, other = (MixupClassifier(max_epochs=2, **SMALL) for _ in range(2))
    assert_array_equal(one.fit(given, y).predict_proba(given), other.fit(X, y).predict_proba(X))


@pytest.mark.parametrize("features", [None, [], [False] * 4])
def test_without_categories_nothing_changes(features):
    X, y = table()
    X = X.assign(color=X.color.cat.codes, code=X.code.astype(int))
    one = MixupClassifier(max_epochs=2, **SMALL).fit(X.to_numpy(), y)
    other = MixupClassifier(max_epochs=2, categorical_features=features, **SMALL)
    other.fit(X.to_numpy(), y)
    assert other.is_categorical_ is None
    assert_array_equal(one.predict_proba(X.to_numpy()), other.predict_proba(X.to_numpy()))


def test_unseen_and_missing_categories_and_negative_codes_are_none_of_the_levels():
    X, y = table()
    net = MixupClassifier(max_epochs=3, **SMALL).fit(X, y)
    rows = as_arrays(X.iloc[:3]).assign(size=0.0, count=1, code=0)
    expected = net.predict_proba(rows.assign(color=None))
    assert_array_equal(net.predict_proba(rows.assign(color="new")), expected)
    assert_array_equal(net.predict_proba(rows.assign(color=7)), expected)
    negative = rows.assign(color="azure", code=-3)
    assert_array_equal(net.predict_proba(negative), net.predict_proba(negative.assign(code=99)))


def test_levels_that_do_not_occur_in_training_make_no_difference():
    X, y = table()
    more = X.assign(color=X.color.cat.add_categories(["zinc"]))
    one, other = (MixupClassifier(max_epochs=2, **SMALL).fit(each, y) for each in (X, more))
    assert_array_equal(one.predict_proba(X), other.predict_proba(more))


BAD = {
    "a name that is not there": (["size", "sise"], r"'sise'\] contains 'sise', which"),
    "an index too large": ([4], r"\[4\] must hold indices from 0 to 3"),
    "a negative index": ([-1], r"\[-1\] must hold indices from 0 to 3"),
    "a mask too short": ([True, False], r"each of the 4 columns of X, got 2 values"),
    "other numbers": ([0.5], r"\[0.5\] must be 'from_dtype', None, or an array of booleans"),
    "another word": ("dtype", r"'categorical_features' parameter .* must be"),
}


@pytest.mark.parametrize(("features", "message"), BAD.values(), ids=BAD)
def test_bad_values_of_categorical_features(features, message):
    X, y = table()
    with pytest.raises(ValueError, match=message):
        MixupClassifier(categorical_features=features).fit(X, y)


def test_names_need_a_data_frame_and_a_module_of_ones_own_takes_numbers(noisy_net):
    X, y = table()
    with pytest.raises(ValueError, match=r"is not a column of X: .* Use column names of"):
        MixupClassifier(categorical_features=["size"]).fit(X.to_numpy(), y)
    with pytest.raises(ValueError, match=r"categorical_features=\[1\] needs module=None"):
        MixupClassifier(categorical_features=[1], module=noisy_net).fit(X, y)


def test_a_column_of_very_many_levels_is_refused_with_a_remedy():
    X = pd.DataFrame({"id": pd.Categorical(np.arange(300).astype(str))})
    with pytest.raises(ValueError, match=r"'id' has 300 levels, .* make_pipeline\(Tabl"):
        MixupClassifier().fit(X, np.arange(300) % 2)


def test_categories_cannot_be_attacked_by_gradients():
    X, y = table(60)
    net = MixupClassifier(max_epochs=1, **SMALL).fit(X, y)
    with pytest.raises(ValueError, match="X has categorical columns"):
        adversarial_examples(net, X, y, eps=0.1)


def test_an_unknown_embedding_is_refused():
    X, y = table()
    with pytest.raises(ValueError, match=r"'embedding' .* among .*'periodic'.* Got 'bins'"):
        MixupClassifier(embedding="bins").fit(X, y)


KINDS = {
    "words": (["b", "a", None, "c"], [1, 0, -1, 2]),
    "whole numbers": ([30, 10, 20, 30], [2, 0, 1, 2]),
    "numbers and gaps": ([0.5, np.nan, 2.0, 0.5], [0, -1, 1, 0]),
    "negative numbers": ([-1, 4, -7, 2], [-1, 1, -1, 0]),
    "truth": ([True, False, True, True], [1, 0, 1, 1]),
    "dates": (pd.to_datetime(["2024-01-02", None, "2024-01-01"]), [1, -1, 0]),
    "ranges": (pd.cut([1.0, 5.0, 2.5, np.nan], [0, 2, 4, 6]), [0, 2, 1, -1]),
    "of several kinds": (["a", 1, None, (2, 3)], [0, 1, -1, 2]),
    "nothing at all": ([None, None], [-1, -1]),
}


@pytest.mark.parametrize(("values", "codes"), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("as_category", [True, False])
def test_codes_are_positions_among_the_sorted_levels(values, codes, as_category):
    column = pd.Series(values)
    frame = pd.DataFrame({"number": 0.0, "category": column})
    if as_category:
        frame["category"] = column.astype("category")
    found = find_categories(frame, ["category"], module=None)
    coded = code_categories(frame, found["is_categorical_"], found["categories_"])
    if "a" in values and 1 in values:  # what cannot be sorted may come in any order
        assert sorted(coded["category"]) == sorted(codes)
    else:
        assert coded["category"].tolist() == codes
    assert coded["number"].tolist() == frame["number"].tolist()


HARD = {
    "ten rows": lambda X, y: (X[:10], y[:10]),
    "two values": lambda X, y: (X, np.arange(len(X)) % 2),
    "many classes": lambda X, y: (X, np.arange(len(X)) % 60),
    "a rare value of a sorted column": lambda X, y: (X.assign(size=np.arange(300) // 299), y),
    "a constant column": lambda X, y: (X.assign(size=1.0), y),
    "a category of one level": lambda X, y: (X.assign(color=pd.Categorical(["a"] * 300)), y),
    "a category of none": lambda X, y: (X.assign(color=pd.Categorical([None] * 300)), y),
    "categories only": lambda X, y: (X[["color", "code"]], y),
}


@pytest.mark.parametrize("change", HARD.values(), ids=HARD)
@pytest.mark.parametrize(
    ("embedding", "kind"),
    [
        ("none", MixupClassifier),
        ("quantile", MixupRegressor),
        ("target", MixupClassifier),
        ("target", MixupRegressor),
        ("periodic", MixupClassifier),
    ],
)
def test_hard_tables_are_learned_and_predicted(change, embedding, kind):
    X, y = change(*table())
    y = np.unique(y, return_inverse=True)[1]
    mixing = "featmix" if kind is MixupClassifier else "cutmix"
    net = kind(embedding=embedding, mixing=mixing, max_epochs=1, **SMALL).fit(X, y)
    assert np.isfinite(net.predict(X)).all()


# ---------------------------------------------------------------- fits on parts of the rows


def test_searches_folds_and_alpha_see_categories():
    X, y = table(120)
    net = MixupClassifier(max_epochs=2, **SMALL)
    grid = {"alpha": [0, 0.3], "embedding": ["none", "target"]}
    search = MixupSearchCV(net, grid, cv=3).fit(X, y)
    for position, params in enumerate(search.cv_results_["params"]):
        scores = [search.cv_results_[f"split{fold}_test_score"][position] for fold in range(3)]
        net.set_params(**params)
        assert_allclose(scores, cross_val_score(net, X, y, cv=3))
    auto = MixupClassifier("auto", max_epochs=2, **SMALL).fit(X, y)
    assert len(auto.alpha_scores_) == 3
    two = [{"alpha": 0.2, "max_epochs": 2}, {"embedding": "target", "max_epochs": 2}]
    ensemble = MixupEnsembleClassifier(candidates=two, cv=3, random_state=0).fit(X, y)
    assert_allclose(ensemble.predict_proba(X).sum(1), 1)


def test_bins_do_not_see_the_rows_that_are_held_out():
    X, y = table(400)
    net = MixupClassifier(
        early_stopping=True, embedding="target", categorical_features=None, **SMALL
    )
    net.set_params(max_epochs=1).fit(X[["size", "count"]], y)
    codes = (y == "yes").astype(int)
    _, valid = net.net_.get_split_datasets(X[["size"]].to_numpy(), codes)
    held_out = X["size"].to_numpy()[valid.indices]
    moved = X.copy()
    moved.loc[valid.indices, "size"] = held_out + 1000
    again = MixupClassifier(
        early_stopping=True, embedding="target", categorical_features=None, **SMALL
    )
    again.set_params(max_epochs=1).fit(moved[["size", "count"]], y)
    for name, part in net.net_.module_.input_layer.state_dict().items():
        assert torch.equal(part, again.net_.module_.input_layer.state_dict()[name])


def test_a_stream_keeps_the_categories_of_its_first_batch():
    X, y = table(600)
    net = MixupClassifier(**SMALL)
    with pytest.raises(ValueError, match=r"categories to its first .* 30 rows .* at least 256"):
        net.partial_fit(X[:30], y[:30])
    net.partial_fit(X[:300], y[:300])
    late = X[300:].assign(color=X.color[300:].cat.add_categories(["new"]).fillna("new"))
    net.partial_fit(late, y[300:])
    assert net.categories_[0].tolist() == LEVELS
    assert net.net_.module_.input_layer.scale.n_seen == 600


def test_training_goes_on_with_the_embedding_it_began_with():
    X, y = table()
    net = MixupClassifier(embedding="quantile", warm_start=True, max_epochs=2, **SMALL)
    before = net.fit(X, y).net_.module_.input_layer.encoding.low
    assert torch.equal(net.fit(X[:200], y[:200]).net_.module_.input_layer.encoding.low, before)
    assert net.set_params(embedding="auto").fit(X, y).embedding_ == "quantile"
    with pytest.raises(ValueError, match=r"embedding='target' cannot .* fitted with 'quanti"):
        net.set_params(embedding="target").fit(X, y)


def test_a_pickle_predicts_the_same():
    X, _ = table()
    net = MixupRegressor(embedding="periodic", max_epochs=2, **SMALL).fit(X, X["size"])
    again = pickle.loads(pickle.dumps(net))
    assert_array_equal(again.predict(X), net.predict(X))


# ----------------------------------------------------------------------------------- mixing


class Recorded(MixupNet):
    """Keeps the batches that it is trained on."""

    def train_step(self, batch, **fit_params):
        self.batches = [*getattr(self, "batches", []), batch]
        return super().train_step(batch, **fit_params)


@pytest.mark.parametrize("mixing", ["cutmix", "featmix", "cutout", "mixup+cutmix", "regmixup"])
@pytest.mark.parametrize("embedding", ["none", "quantile", "periodic"])
def test_all_values_of_a_column_are_swapped_together(mixing, embedding):
    X, y = table()
    fitted = MixupClassifier(embedding=embedding, max_epochs=1, **SMALL).fit(X, y)
    layer = fitted.net_.module_.input_layer
    coded = X.assign(color=X.color.cat.codes, code=X.code.cat.codes).to_numpy(np.float64)
    if mixing == "regmixup":
        from mixup_tab.mixing import CutMix, RegMixup

        mixing = RegMixup(CutMix())
    net = Recorded(
        type(fitted.net_.module_),
        module__in_features=layer.width,
        module__out_features=2,
        module__input_layer=layer,
        mixing=mixing,
        alpha=1.0,
        max_epochs=1,
        batch_size=50,
        random_state=0,
        verbose=0,
    ).fit(coded, (y == "yes").astype(int))
    known = layer(torch.from_numpy(coded))
    groups, blank = layer.groups, torch.zeros(1, layer.width)
    known = torch.cat([known, blank]) if mixing == "cutout" else known
    for batch in net.batches:
        for row in batch.x[0]:
            for column in range(4):
                values = row[groups == column]
                same = (known[:, groups == column] == values).all(1).any()
                if mixing != "mixup+cutmix":
                    assert same
    if mixing == "cutmix":  # λ is a share of the columns
        shares = torch.cat([batch.targets[0].flatten() for batch in net.batches]) * 4
        assert_allclose(shares, shares.round(), atol=1e-6)
