import pickle

import pytest
import torch

from mixup_tab import MixupClassifier
from mixup_tab.mixing import CutMix, FeatMix, ManifoldMixup, Mixup, RegMixup, as_rule


def test_it_mixes_states_as_the_rule_inside_mixes_inputs():
    x, draws = torch.randn(3, 8, 5), []
    for rule in (CutMix(), ManifoldMixup(CutMix())):
        source = torch.Generator().manual_seed(0)
        draws.append(rule.draw(1.0, (3, 8), features=(5,), generator=source))
    assert all(map(torch.equal, *draws))
    assert torch.equal(ManifoldMixup(CutMix()).mix_x(x, draws[0]), CutMix().mix_x(x, draws[0]))
    assert torch.equal(ManifoldMixup(CutMix()).mix_y(x, draws[0]), CutMix().mix_y(x, draws[0]))


def test_it_says_that_it_mixes_a_hidden_layer_and_passes_the_rest_on():
    rule = ManifoldMixup(Mixup(partners="same_class"))
    assert rule.hidden
    assert not rule.grows
    assert rule.needs_labels
    assert rule.kind == "classes"
    assert not ManifoldMixup().needs_labels


@pytest.mark.parametrize("inside", [RegMixup(), ManifoldMixup()])
def test_rules_that_cannot_mix_a_layer_are_refused(inside):
    with pytest.raises(ValueError, match="cannot mix a hidden layer"):
        ManifoldMixup(inside)


@pytest.mark.parametrize("inside", [FeatMix()])
def test_rules_that_know_the_columns_of_the_inputs_are_refused(inside):
    with pytest.raises(ValueError, match=r"cannot mix a hidden layer.*Use CutMix"):
        ManifoldMixup(inside)


@pytest.mark.parametrize("layers", ["layer1", [], ()])
def test_layers_must_be_a_list_of_names(layers):
    with pytest.raises(ValueError, match=r"layers must be a list of names.*got"):
        ManifoldMixup(layers=layers)


def test_what_is_no_rule_is_refused():
    with pytest.raises(TypeError, match="rule must be a MixingRule"):
        ManifoldMixup("mixup")


def test_a_rule_is_a_value_with_a_name():
    assert as_rule("manifold") == ManifoldMixup()
    rule = ManifoldMixup(layers=["input", "layer2"])
    assert pickle.loads(pickle.dumps(rule)) == rule == ManifoldMixup(layers=("input", "layer2"))
    assert len({rule, ManifoldMixup()}) == 2


SMALL = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.02, "random_state": 0}


def test_the_classifier_learns_with_it(three_classes):
    X, y = three_classes
    fitted = MixupClassifier(**SMALL, mixing="manifold", alpha=2.0, max_epochs=30).fit(X, y)
    assert fitted.score(X, y) > 0.8
