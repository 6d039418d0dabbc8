"""Each private name of torch that the package uses does what the package takes it for.

A failure here means that torch has changed something it never promised. The comment beside the
name in ``mixup_tab/_torch_private.py`` says what to use instead.
"""

import ast
import functools
from pathlib import Path

import pytest
import torch

from mixup_tab import _torch_private as private


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_fused_adamw_is_a_step_of_adamw_that_reads_the_count_and_does_not_change_it():
    options = {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.2}
    value, grad = normal(4, 3), normal(4, 3, seed=1)
    theirs = value.clone().requires_grad_()
    theirs.grad = grad.clone()
    optimizer = torch.optim.AdamW([theirs], **options)
    means, squares, count = torch.zeros_like(value), torch.zeros_like(value), torch.zeros(())
    step = private.fused_adamw([value], [grad], [means], [squares], [count], **options)
    for done in (1, 2):
        optimizer.step()
        count.add_(1)
        step()
        torch.testing.assert_close(value, theirs.detach())
        assert count == done


def test_log_softmax_backward_is_the_gradient_of_log_softmax():
    x, slope = normal(2, 5, 3).requires_grad_(), normal(2, 5, 3, seed=1)
    log_p = torch.log_softmax(x, -1)
    log_p.backward(slope)
    found = private.log_softmax_backward(slope, log_p.detach())
    torch.testing.assert_close(found, x.grad)
    torch.testing.assert_close(found, slope - log_p.exp() * slope.sum(-1, keepdim=True))


def test_relu_backward_clears_the_slope_in_place_where_the_value_is_zero():
    values, slope = normal(4, 3).relu(), normal(4, 3, seed=1)
    expected = slope * (values > 0)
    assert private.relu_backward_(slope, values) is slope
    assert torch.equal(slope, expected)


def test_standard_gamma_follows_its_generator():
    draws = [
        private.standard_gamma(torch.full((4000,), 3.0), torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert draws[0].mean().item() == pytest.approx(3, abs=0.15)
    assert draws[0].var().item() == pytest.approx(3, abs=0.4)


def test_a_compile_wrapper_is_taken_off_and_anything_else_left_alone():
    def plain():
        return 1

    assert private.without_compile_wrapper(functools.wraps(plain)(lambda: 2)) is plain
    assert private.without_compile_wrapper(plain) is plain
    unwrapped = private.without_compile_wrapper(torch.optim.Optimizer.zero_grad)
    assert "torch/_compile" not in unwrapped.__code__.co_filename
    assert unwrapped.__name__ == "zero_grad"


def test_a_dispatch_mode_sees_every_operation_of_its_thread_and_may_replace_it():
    seen = []

    class Watch(private.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **(kwargs or {})) + 1

    with Watch():
        result = torch.zeros(2) * 5
    assert torch.ops.aten.mul.Tensor in seen
    assert result.tolist() == [6.0, 6.0]


def test_the_global_generator_is_known_also_where_a_mode_sees_it():
    seen = []

    class Watch(private.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            given = (kwargs or {}).get("generator")
            seen.append(given is not None and private.is_global_generator(given))
            return func(*args, **(kwargs or {}))

    state = torch.get_rng_state()
    with Watch():
        torch.randperm(3, generator=torch.default_generator)
        torch.randperm(3, generator=torch.Generator())
    torch.set_rng_state(state)
    assert seen == [True, False]


@pytest.mark.parametrize(
    "name", ["rand", "randn", "randint", "randperm", "bernoulli", "normal_"]
)
def test_random_operations_have_an_overload_with_a_generator(name):
    packet = getattr(torch.ops.aten, name)
    first = getattr(packet, packet.overloads()[0])
    overload = private.with_generator(first)
    assert "generator" in {argument.name for argument in overload._schema.arguments}


def test_an_operation_without_such_an_overload_is_none():
    assert private.with_generator(torch.ops.aten.native_dropout.default) is None


def test_random_operations_are_tagged():
    for operation in (torch.ops.aten.rand.default, torch.ops.aten.native_dropout.default):
        assert torch.Tag.nondeterministic_seeded in operation.tags
    assert torch.Tag.nondeterministic_seeded not in torch.ops.aten.mul.Tensor.tags


def test_own_parameters_are_those_of_the_module_itself_in_order():
    net = torch.nn.Module()
    net.inside = torch.nn.Linear(2, 2)
    for name in ("one", "other"):
        net.register_parameter(name, torch.nn.Parameter(torch.zeros(1)))
    assert private.own_parameters(net) == {"one": net.one, "other": net.other}
    assert list(private.own_parameters(net)) == ["one", "other"]


def test_whether_a_cpu_knows_bfloat16_is_a_truth_value():
    assert private.has_native_bfloat16() in (True, False)


# Names of torch with an underscore are for that file alone.
ALLOWED = {"_torch_private.py"}


def test_no_other_file_uses_private_names_of_torch():
    package = Path(private.__file__).parent
    offenders = []
    for path in sorted(package.rglob("*.py")):
        if path.name in ALLOWED:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr[:1] == "_" != node.attr[1:2]:
                value = ast.unparse(node.value)
                if value == "torch" or value.startswith(("torch.", "nn.")):
                    offenders.append(f"{path.name}: {value}.{node.attr}")
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torch"):
                names = [*node.module.split("."), *(alias.name for alias in node.names)]
                if any(name.startswith("_") for name in names):
                    offenders.append(f"{path.name}: from {node.module}")
    assert offenders == []


def test_modes_of_this_thread_are_noticed_and_left_out():
    assert private.has_no_modes()
    with torch.autocast("cpu", torch.bfloat16):
        assert not private.has_no_modes()
    with torch.device("meta"):
        assert not private.has_no_modes()
        with private.without_function_modes():
            assert torch.empty(0).device.type == "cpu"
        assert torch.empty(0).device.type == "meta"
