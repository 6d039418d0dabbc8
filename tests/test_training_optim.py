import pytest
import torch

from mixup_tab.training import LeanAdamW

STEPS = 50


def parameters(*, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in [(4, 3), (3,), (2, 1, 5)]
    ]


def set_gradients(params, step, missing=lambda index, step: False):
    generator = torch.Generator().manual_seed(1000 + step)
    for index, parameter in enumerate(params):
        gradient = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.grad = None if missing(index, step) else gradient


def run(make, steps=STEPS, missing=lambda index, step: False):
    params = parameters()
    optimizer = make(params)
    for step in range(steps):
        set_gradients(params, step, missing)
        optimizer.step()
    return params


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)


SETTINGS = [
    {"weight_decay": 0.0},
    {"lr": 0.05, "weight_decay": 0.1},
    {"betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.0},
]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_updates_are_those_of_adamw(setting):
    ours = run(lambda params: LeanAdamW(params, **setting))
    theirs = run(lambda params: torch.optim.AdamW(params, **setting))
    assert_same(ours, theirs)


def test_defaults_are_adams():
    assert_same(run(LeanAdamW), run(torch.optim.Adam))


def groups(params):
    return [
        {"params": params[:1], "lr": 0.1},
        {"params": params[1:], "weight_decay": 0.3, "betas": (0.8, 0.95)},
    ]


def test_parameter_groups_keep_their_own_settings():
    ours = run(lambda params: LeanAdamW(groups(params), lr=0.01))
    theirs = run(lambda params: torch.optim.AdamW(groups(params), lr=0.01, weight_decay=0))
    assert_same(ours, theirs)


@pytest.mark.parametrize(
    "missing",
    [
        lambda index, step: index == 1,
        lambda index, step: step % 2 == 1,
        lambda index, step: index == 1 and step % 3 == 0,
        lambda index, step: index == 0 and step < 10,
    ],
    ids=["never one", "no one every other step", "one now and then", "one late"],
)
def test_parameters_without_a_gradient_are_left_out(missing):
    ours = run(LeanAdamW, missing=missing)
    theirs = run(torch.optim.Adam, missing=missing)
    assert_same(ours, theirs)


def test_a_changed_learning_rate_holds_from_the_next_step():
    def trained(make):
        params = parameters()
        optimizer = make(params)
        for step in range(20):
            optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
            set_gradients(params, step)
            optimizer.step()
        return params

    assert_same(trained(LeanAdamW), trained(torch.optim.Adam))


def test_state_goes_on_where_it_was_saved():
    params = parameters()
    optimizer = LeanAdamW(params, lr=0.02, weight_decay=0.1)
    for step in range(STEPS):
        if step == STEPS // 2:
            state = optimizer.state_dict()
            params = [parameter.detach().clone().requires_grad_() for parameter in params]
            optimizer = LeanAdamW(params)
            optimizer.load_state_dict(state)
        set_gradients(params, step)
        optimizer.step()
    straight = run(lambda params: LeanAdamW(params, lr=0.02, weight_decay=0.1))
    for one, other in zip(params, straight, strict=True):
        assert torch.equal(one, other)


def test_step_calls_the_closure_with_gradients_enabled():
    def train(make):
        params = parameters()
        optimizer = make(params)

        def closure():
            optimizer.zero_grad()
            loss = sum((p**2).sum() for p in params)
            loss.backward()
            return loss

        return params, [optimizer.step(closure).item() for _ in range(10)]

    (ours, our_losses), (theirs, their_losses) = train(LeanAdamW), train(torch.optim.Adam)
    assert_same(ours, theirs)
    assert our_losses == pytest.approx(their_losses, rel=1e-11)
    assert our_losses[-1] < our_losses[0]


def test_step_without_a_closure_returns_nothing():
    params = parameters()
    set_gradients(params, 0)
    assert LeanAdamW(params).step() is None
