import threading

import numpy as np
import pytest
import torch
from torch import nn

from mixup_tab.training.randomness import Streams, drawing_from, member_seeds


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def linear():
    return nn.Linear(4, 3).weight.detach().clone()


def dropped():
    return nn.Dropout(0.5)(torch.ones(50))


def dropped_in_place():
    return nn.functional.dropout(torch.ones(50), 0.3, training=True, inplace=True)


def rrelu():
    return nn.RReLU()(-torch.ones(50))


def attention():
    x = torch.ones(1, 1, 6, 4) * torch.arange(6.0).unsqueeze(1)
    return nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=0.5)


DRAWS = {
    "linear": linear,
    "conv": lambda: nn.Conv2d(2, 3, 3).weight.detach().clone(),
    "xavier": lambda: nn.init.xavier_normal_(torch.empty(4, 5)),
    "kaiming": lambda: nn.init.kaiming_uniform_(torch.empty(4, 5)),
    "truncated": lambda: nn.init.trunc_normal_(torch.empty(4, 5)),
    "orthogonal": lambda: nn.init.orthogonal_(torch.empty(4, 5)),
    "embedding": lambda: nn.Embedding(4, 5).weight.detach().clone(),
    "dropout": dropped,
    "dropout in place": dropped_in_place,
    "dropout of channels": lambda: nn.Dropout2d(0.5)(torch.ones(2, 20, 2, 2)),
    "alpha dropout": lambda: nn.AlphaDropout(0.5)(torch.ones(50)),
    "rrelu": rrelu,
    "gumbel": lambda: nn.functional.gumbel_softmax(torch.zeros(5, 4)),
    "rand": lambda: torch.rand(5),
    "rand into": lambda: torch.rand(5, out=torch.empty(5)),
    "rand_like": lambda: torch.rand_like(torch.empty(5)),
    "randn": lambda: torch.randn(5),
    "randint": lambda: torch.randint(1000, (10,)),
    "randint from": lambda: torch.randint(5, 1000, (10,)),
    "randint_like": lambda: torch.randint_like(torch.empty(10), 1000),
    "randint_like from": lambda: torch.randint_like(torch.empty(10), 5, 1000),
    "randn_like": lambda: torch.randn_like(torch.empty(5)),
    "poisson": lambda: torch.poisson(torch.full((30,), 9.0)),
    "gamma": lambda: torch.distributions.Gamma(0.5, 1.0).sample((5,)),
    "attention": attention,
    "recurrent": lambda: nn.LSTM(2, 3, 2, dropout=0.5)(torch.ones(4, 2))[0].detach(),
    "randperm": lambda: torch.randperm(20),
    "normal": lambda: torch.normal(torch.zeros(5), torch.ones(5)),
    "bernoulli": lambda: torch.bernoulli(torch.full((60,), 0.5)),
    "multinomial": lambda: torch.multinomial(torch.ones(30), 20),
    "exponential": lambda: torch.empty(5).exponential_(),
    "uniform": lambda: torch.empty(5).uniform_(),
    "distribution": lambda: torch.distributions.Beta(0.5, 0.5).sample((5,)),
}


def drawn_from(seed, draw):
    with drawing_from(source(seed)) as mode:
        result = draw()
    return result, mode.used


@pytest.mark.parametrize("name", DRAWS)
def test_random_operations_depend_on_the_generator_alone(name):
    draw = DRAWS[name]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        before = torch.get_rng_state()
        one, used = drawn_from(5, draw)
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(2)
        again, _ = drawn_from(5, draw)
    other, _ = drawn_from(6, draw)
    assert used
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_dropout_keeps_the_mean_and_its_gradient_is_its_mask():
    x = torch.ones(20_000, requires_grad=True)
    with drawing_from(source()):
        y = nn.Dropout(0.25)(x)
        y.sum().backward()
    assert y.detach().unique().tolist() == [0.0, pytest.approx(1 / 0.75)]
    assert y.mean().item() == pytest.approx(1, abs=0.03)
    torch.testing.assert_close(x.grad, y.detach())


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_dropout_of_nothing_and_of_everything(share):
    x = torch.ones(5, requires_grad=True)
    with drawing_from(source()):
        nn.Dropout(share)(x).sum().backward()
    assert torch.equal(x.grad, torch.full((5,), 1 - share))


def test_nothing_random_is_reported_as_unused():
    layer = nn.Linear(3, 2)
    with drawing_from(source()) as mode:
        layer(torch.ones(1, 3)).sum().backward()
        nn.Dropout(0.5).eval()(torch.ones(3))
    assert not mode.used


def test_what_is_given_a_generator_keeps_it():
    def drawn():
        alone = torch.rand(4, generator=source(2))
        return torch.cat([alone, torch._standard_gamma(torch.ones(4), generator=source(2))])

    expected = drawn()
    with drawing_from(source(1)) as mode:
        assert torch.equal(drawn(), expected)
    assert not mode.used


def test_the_global_generator_is_no_generator_of_its_own():
    """It is what ``random_split`` names by default."""
    before = torch.get_rng_state()
    with drawing_from(source(1)):
        first = torch.randperm(9, generator=torch.default_generator)
    assert torch.equal(torch.get_rng_state(), before)
    with drawing_from(source(1)):
        assert torch.equal(torch.randperm(9), first)


def test_an_explicit_generator_is_not_needed_after_the_context():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        expected = torch.rand(4)
        torch.manual_seed(3)
        with drawing_from(source()):
            torch.rand(4)
        assert torch.equal(torch.rand(4), expected)


def test_other_threads_keep_the_global_generator():
    with torch.random.fork_rng():
        torch.manual_seed(11)
        expected = torch.rand(6)
        torch.manual_seed(11)
        seen = []
        with drawing_from(source()):
            worker = threading.Thread(target=lambda: seen.append(torch.rand(6)))
            worker.start()
            worker.join()
            redirected = torch.rand(6)
    assert torch.equal(seen[0], expected)
    assert torch.equal(redirected, torch.rand(6, generator=source()))


def test_the_context_ends_with_an_exception():
    with pytest.raises(RuntimeError, match="on purpose"), drawing_from(source()):
        raise RuntimeError("on purpose")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        expected = torch.rand(2, generator=source(3))
        assert torch.equal(torch.rand(2), expected)


# ---------------------------------------------------------------- streams and seeds


def first_numbers(streams):
    return [torch.rand(3, generator=generator).tolist() for generator in streams]


def test_streams_are_a_function_of_seed_and_epoch():
    assert first_numbers(Streams.from_seed(3, "cpu")) == first_numbers(
        Streams.from_seed(3, "cpu", 0)
    )


def test_streams_differ_from_each_other_by_seed_and_by_epoch():
    numbers = [
        tuple(row)
        for seed in (0, 1)
        for epoch in (0, 1)
        for row in first_numbers(Streams.from_seed(seed, "cpu", epoch))
    ]
    assert len(set(numbers)) == len(numbers) == 20


def test_streams_do_not_move_each_other():
    one, other = Streams.from_seed(0, "cpu"), Streams.from_seed(0, "cpu")
    torch.rand(100, generator=one.mix)
    torch.rand(100, generator=one.noise)
    assert torch.equal(
        torch.randperm(9, generator=one.order), torch.randperm(9, generator=other.order)
    )


def test_seeds_of_members_do_not_depend_on_their_number():
    many = member_seeds(42, 20)
    assert member_seeds(42, 3) == many[:3]
    assert len(set(many)) == 20
    assert not set(many) & set(member_seeds(43, 20))


def test_seeds_and_streams_leave_numpys_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first_numbers(Streams.from_seed(member_seeds(1, 2)[1], "cpu"))
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.skipif(not torch.backends.mps.is_available(), reason="no MPS device here")
@pytest.mark.parametrize("draw", [lambda x: torch.rand_like(x), nn.Dropout(0.5)])
def test_a_device_without_a_stream_of_its_own_follows_the_seed(draw):
    """Streams for MPS lie on the CPU."""
    x, before = torch.ones(50, device="mps"), torch.mps.get_rng_state()
    results = []
    for seed in (0, 0, 1):
        with drawing_from(source(seed)):
            results.append(draw(x))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert torch.equal(torch.mps.get_rng_state(), before)
