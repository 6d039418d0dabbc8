import numpy as np
import pytest
import torch

from mixup_tab.training import LeanAdamW, Muon
from mixup_tab.training.optim import StackAdamW, orthogonalized

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


# ---------------------------------------------------------------------------- Muon

KERNELS = [(6, 4, 3, 3), (8, 2, 1, 1), (5, 1, 3, 2)]


def net_parameters(shapes):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in shapes
    ]


def run_muon(params, steps=STEPS, **setting):
    optimizer = Muon(params, **setting)
    for step in range(steps):
        set_gradients(params, step)
        optimizer.step()
    return params


@pytest.mark.parametrize("shape", [(6, 36), (40, 7), (5, 5)])
def test_orthogonalized_keeps_directions_and_evens_out_their_sizes(shape):
    u, s, v = torch.linalg.svd(
        torch.randn(shape, generator=torch.Generator().manual_seed(0)).double(),
        full_matrices=False,
    )
    s = torch.linspace(0.3, 1, len(s)).double()
    got = u.mT @ orthogonalized(u * s @ v) @ v.mT
    assert (got - got.diag().diag()).abs().max() < 1e-9
    assert (got.diag() > 0.4).all()
    assert (got.diag() < 1.4).all()


def test_a_step_of_a_kernel_is_its_definition():
    lr, momentum = 0.1, 0.6
    kernels = net_parameters(KERNELS)
    for shape, got in zip(KERNELS, run_muon(net_parameters(KERNELS), 3, lr=lr), strict=True):
        kernel = kernels.pop(0).detach().numpy()
        memory = np.zeros(shape)
        for step in range(3):
            blank = net_parameters(KERNELS)
            set_gradients(blank, step)
            gradient = blank[KERNELS.index(shape)].grad.numpy()
            memory = momentum * memory + gradient
            matrix = (gradient + momentum * memory).reshape(shape[0], -1)
            x = matrix / np.linalg.norm(matrix)
            for _ in range(3):  # Jordan's quintic, a x + b (x xᵀ) x + c (x xᵀ)² x
                x = 3.4445 * x - 4.7750 * x @ x.T @ x + 2.0315 * x @ x.T @ x @ x.T @ x
            kernel = kernel / np.linalg.norm(kernel) * np.sqrt(shape[0])
            kernel = kernel - lr * x.reshape(shape)
        np.testing.assert_allclose(got.detach().numpy(), kernel, rtol=1e-9, atol=1e-12)


def test_everything_else_gets_adamw():
    ours = run_muon(parameters(), lr=0.5, weight_decay=0.1)
    theirs = run(lambda params: torch.optim.AdamW(params, lr=0.04, weight_decay=0.1))
    assert_same(ours, theirs)


def test_kernels_may_be_channels_last_or_without_a_gradient():
    plain, last = net_parameters(KERNELS), net_parameters(KERNELS)
    for kernel in last:
        kernel.data = kernel.data.contiguous(memory_format=torch.channels_last)
    assert_same(run_muon(plain), run_muon(last))
    frozen = net_parameters([*KERNELS, (3,)])
    before = [parameter.detach().clone() for parameter in frozen]
    Muon(frozen).step()
    assert_same(frozen, before)
    silent = torch.zeros(2, 2, 3, 3, requires_grad=True)
    silent.grad = torch.zeros_like(silent)
    Muon([silent]).step()
    assert not silent.any()


def test_muon_goes_on_where_it_was_saved():
    shapes = [*KERNELS, (4, 3), (3,)]
    params = net_parameters(shapes)
    optimizer = Muon(params, lr=0.02)
    for step in range(STEPS):
        if step == STEPS // 2:
            state = optimizer.state_dict()
            params = [parameter.detach().clone().requires_grad_() for parameter in params]
            optimizer = Muon(params)
            optimizer.load_state_dict(state)
        set_gradients(params, step)
        optimizer.step()
    for one, other in zip(params, run_muon(net_parameters(shapes), lr=0.02), strict=True):
        assert torch.equal(one, other)


# ---------------------------------------------------------------------- StackAdamW

MEMBERS = 5
SHAPES = [(MEMBERS, 4, 3), (MEMBERS, 1, 4)]


def stacked_parameters():
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in SHAPES
    ]


def settings_of(**options):
    """Options of every member; those not given are the same for all."""
    names = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
    return [
        {name: options.get(name, [value] * MEMBERS)[k] for name, value in names.items()}
        for k in range(MEMBERS)
    ]


def stacked_gradients(step):
    generator = torch.Generator().manual_seed(1000 + step)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in SHAPES]


def run_stack(settings, steps=STEPS):
    params = stacked_parameters()
    for parameter in params:
        parameter.grad = torch.zeros_like(parameter)
    update = StackAdamW(params).bind(settings)
    with torch.no_grad():
        for step in range(steps):
            write_gradients(params, step)
            update()
    return params


def write_gradients(params, step):
    for parameter, gradient in zip(params, stacked_gradients(step), strict=True):
        parameter.grad.copy_(gradient)


def run_member(k, options, steps=STEPS):
    """One member trained with torch's own AdamW."""
    params = [p.detach()[k].clone().requires_grad_() for p in stacked_parameters()]
    optimizer = torch.optim.AdamW(params, **options)
    for step in range(steps):
        for parameter, gradient in zip(params, stacked_gradients(step), strict=True):
            parameter.grad = gradient[k]
        optimizer.step()
    return params


def assert_member(params, k, expected):
    assert_same([parameter[k] for parameter in params], expected)


STACKS = {
    "equal": settings_of(),
    "learning rate": settings_of(lr=[0.1, 0.1, 0.01, 0.03, 0.1]),
    "weight decay": settings_of(weight_decay=[0.0, 0.3, 0.3, 5.0, 0.0]),
    "betas": settings_of(betas=[(0.9, 0.999), (0.5, 0.9), (0.5, 0.9), (0.9, 0.99), (0.0, 0.9)]),
    "eps": settings_of(eps=[1e-8, 1e-8, 1e-2, 1e-8, 1.0]),
    "everything": settings_of(
        lr=[0.1, 0.1, 0.1, 0.02, 0.02], weight_decay=[0, 0, 1, 1, 1], eps=[1, 1, 1, 1, 1e-8]
    ),
}


@pytest.mark.parametrize("settings", STACKS.values(), ids=STACKS)
def test_every_member_of_a_stack_gets_the_update_of_adamw(settings):
    params = run_stack(settings)
    for k, options in enumerate(settings):
        assert_member(params, k, run_member(k, options))


def test_a_stacks_settings_may_change_on_the_way():
    halves = [settings_of(lr=[0.1] * 5), settings_of(lr=[0.1, 0.01, 0.01, 0.2, 0.3])]
    params = stacked_parameters()
    for parameter in params:
        parameter.grad = torch.zeros_like(parameter)
    adam = StackAdamW(params)
    with torch.no_grad():
        for half, settings in enumerate(halves):
            update = adam.bind(settings)
            for step in range(25 * half, 25 * (half + 1)):
                write_gradients(params, step)
                update()
    for k in range(MEMBERS):
        alone = [p.detach()[k].clone().requires_grad_() for p in stacked_parameters()]
        optimizer = LeanAdamW(alone)
        for step in range(50):
            optimizer.param_groups[0].update(halves[step // 25][k])
            for parameter, gradient in zip(alone, stacked_gradients(step), strict=True):
                parameter.grad = gradient[k]
            optimizer.step()
        assert_member(params, k, alone)


@pytest.mark.parametrize("members", [[0, 1, 2, 3, 4], [1, 3], [4], [3, 0]], ids=str)
def test_some_members_go_on_in_another_stack(members):
    settings = STACKS["learning rate"]
    params = stacked_parameters()
    for parameter in params:
        parameter.grad = torch.zeros_like(parameter)
    before = StackAdamW(params)
    update = before.bind(settings)
    with torch.no_grad():
        for step in range(20):
            write_gradients(params, step)
            update()
    rest = [parameter.detach()[members].clone() for parameter in params]
    for parameter in rest:
        parameter.grad = torch.zeros_like(parameter)
    after = StackAdamW(rest)
    after.resume(before, torch.tensor(members))
    update = after.bind([settings[k] for k in members])
    for step in range(20, STEPS):
        for parameter, gradient in zip(rest, stacked_gradients(step), strict=True):
            parameter.grad.copy_(gradient[members])
        update()
    for place, k in enumerate(members):
        assert_member(rest, place, run_member(k, settings[k]))


def test_a_member_that_diverges_leaves_the_others_alone():
    settings = settings_of(lr=[0.1, 1e308, 0.1, 0.1, 0.1])
    params = run_stack(settings)
    assert not all(torch.isfinite(parameter[1]).all() for parameter in params)
    for k in (0, 2, 3, 4):
        assert_member(params, k, run_member(k, settings[k]))
