"""What is promised for a GPU, held without one: no step waits for it, nothing lies beside it.

Reads by the host are counted on the CPU, where the same code runs. Where tensors are made is
held by running the loop on fake tensors that claim to lie on ``cuda:0``: torch then refuses any
operation on tensors of two devices, and any result that would have to be read to go on.
"""

import functools
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from small_nets import Net, make
from torch._subclasses.fake_tensor import FakeTensorMode

from mixup_tab import MLP
from mixup_tab._torch_private import TorchDispatchMode, without_compile_wrapper
from mixup_tab.losses import MixedCrossEntropy, MixedSquaredError
from mixup_tab.mixing._names import RULES, as_rule
from mixup_tab.training import LeanAdamW
from mixup_tab.training.batches import Batch, MixedBatches, Mixing
from mixup_tab.training.hidden import HiddenMixing, _LayerDraw
from mixup_tab.training.optim import StackAdamW
from mixup_tab.training.randomness import Streams
from mixup_tab.training.state import TrainingState
from mixup_tab.training.steps import batch_losses, manual_epoch
from mixup_tab.training.table import Examples, Table, TargetEncoder

# --------------------------------------------------------------- reads of the host

# What makes a program wait until the device has computed: a number that Python wants to see, or
# a result whose size depends on numbers.
aten = torch.ops.aten
WAITS = {
    *(aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default),
    *(aten.equal.default, aten.is_nonzero.default, aten._unique2.default),
}
METHODS = ("cpu", "tolist")


class Reads(TorchDispatchMode):
    """Counts what would wait for a device."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func in WAITS
        return func(*args, **(kwargs or {}))


# Otherwise torch imports its compiler for the first operation.
Reads.__torch_dispatch__ = without_compile_wrapper(Reads.__torch_dispatch__)


class ByEpoch(Callback):
    """Notes the reads so far at the end of every epoch."""

    def __init__(self, reads):
        self.reads = reads

    def on_train_begin(self, net, **kwargs):
        self.seen = []

    def on_epoch_end(self, net, **kwargs):
        self.seen.append(self.reads.count)


@pytest.fixture
def reads(monkeypatch):
    """A count of reads, those by methods that a dispatch mode does not see included."""
    reads = Reads()

    def counted(method):
        @functools.wraps(method)
        def call(self, *args, **kwargs):
            reads.count += 1
            return method(self, *args, **kwargs)

        return call

    for name in METHODS:
        monkeypatch.setattr(torch.Tensor, name, counted(getattr(torch.Tensor, name)))
    return reads


def reads_of_an_epoch(reads, steps, module=MLP, **params):
    """Reads between the ends of two epochs of so many steps."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(16 * steps, 6)).astype(np.float32)
    y = (X[:, 0] > 0).astype(np.int64)
    watch = ByEpoch(reads)
    net = make(module, max_epochs=3, callbacks=[("watch", watch)], **params).initialize()
    with reads:
        net.partial_fit(X, y)
    [number] = set(np.diff(dict(net.callbacks_)["watch"].seen))
    return number


CASES = {
    "by hand": {"module__dropout": 0.2},
    "plain": {"alpha": 0},
    "members": {"n_members": 3, "mixing": "mixup+cutmix"},
    "a user's net": {"module": Net},
    "torch's optimizer": {"optimizer": torch.optim.SGD},
    "torch's criterion": {"criterion": torch.nn.CrossEntropyLoss},
    "labels": {"mixing": "same_class"},
    "growing batches": {"mixing": "regmixup"},
}


@pytest.mark.parametrize("params", CASES.values(), ids=CASES)
def test_an_epoch_reads_its_loss_and_nothing_else(params, reads):
    assert reads_of_an_epoch(reads, 10, **params) == 1


@pytest.mark.parametrize("params", [{}, {"module": Net}, {"mixing": "manifold"}], ids=str)
def test_ten_times_the_steps_read_as_often(params, reads):
    few, many = (reads_of_an_epoch(reads, steps, **params) for steps in (10, 100))
    assert few == many <= 2


def test_a_step_that_reads_would_be_noticed(reads):
    class Reading(Net):
        def forward(self, x):
            return super().forward(x * float(x.sum() > -1e9))

    assert reads_of_an_epoch(reads, 10, module=Reading) > 10


# ------------------------------------------------------------ everything on the device

DEVICE = "cuda:0"


class FakeGenerator(torch.Generator):
    """A generator that says it lies on the fake device, where a build for CPUs has none."""

    device = torch.device(DEVICE)


class WithoutGenerators(TorchDispatchMode):
    """Drops the generators of random operations: fake tensors hold no numbers."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = {**(kwargs or {})}
        if isinstance(kwargs.get("generator"), torch.Generator):
            kwargs["generator"] = None
        args = [None if isinstance(arg, torch.Generator) else arg for arg in args]
        return func(*args, **kwargs)


@pytest.fixture
def fake():
    """Fake tensors inside, and no constant of them in a cache afterwards."""
    with FakeTensorMode(), WithoutGenerators():
        yield
    for name in [name for name in sys.modules if name.startswith("mixup_tab.")]:
        for cached in vars(sys.modules[name]).values():
            if isinstance(cached, _CACHE):
                cached.cache_clear()


_CACHE = type(functools.lru_cache(lambda: None))
ROWS, COLUMNS, CLASSES, MEMBERS, SIZE = 23, 4, 3, 2, 5


def streams():
    return [Streams(*(FakeGenerator() for _ in range(5))) for _ in range(MEMBERS)]


def learned(rule):
    """The rule with what it must know of the rows, found on real tensors."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(ROWS, COLUMNS)).astype(np.float32))
    y = torch.arange(ROWS) % CLASSES if rule.task != "regression" else x[:, :1]
    return rule.fit(lambda rows: x[rows], y)


def batches_of(rule, criterion):
    values = isinstance(criterion, MixedSquaredError)
    x = torch.randn(ROWS, COLUMNS, device=DEVICE)
    y = x[:, :CLASSES] if values else torch.zeros(ROWS, dtype=torch.int64, device=DEVICE)
    encode = TargetEncoder(criterion, CLASSES, torch.float32, one_column=False)
    tables = Table(x, DEVICE), Table(y, DEVICE), Table(torch.rand(ROWS, device=DEVICE), DEVICE)
    rows = torch.arange(ROWS - 2, device=DEVICE)
    batches = MixedBatches(
        Examples(*tables, encode=encode), rows=rows, batch_size=SIZE, streams=streams()
    )
    batches.mixing = Mixing(rule, [0.3] * MEMBERS)
    return batches


def net_of(criterion):
    with torch.device(DEVICE):
        module = MLP(COLUMNS, CLASSES, (8, 6), n_members=MEMBERS, dropout=0.2)
    return SimpleNamespace(
        module_=module,
        criterion_=criterion,
        optimizer_=LeanAdamW(module.parameters()),
        n_members=MEMBERS,
        device=DEVICE,
    )


def state_of(net):
    return TrainingState(streams=streams(), weight=None, mixed=[True], first_epoch=0)


RULES_HERE = {name: as_rule(name) for name in RULES}


@pytest.mark.parametrize("name", [name for name, r in RULES_HERE.items() if not r.mixes_hidden])
def test_an_epoch_by_hand_stays_on_the_device(name, fake_after_learning):
    rule, criterion = fake_after_learning(name)
    net, batches = net_of(criterion), batches_of(rule, criterion)
    for _ in range(3):  # short epochs are made several at a time after the first
        losses, rows, _ = manual_epoch(net, batches, state_of(net))
    total = torch.cat(losses).sum(0)
    assert (total.device, total.shape) == (torch.device(DEVICE), (MEMBERS,))
    assert rows >= ROWS - 2
    for parameter in net.module_.parameters():
        assert parameter.device == parameter.grad.device == torch.device(DEVICE)


@pytest.fixture
def fake_after_learning(request):
    """Fits a rule on real rows, and only then begins to fake."""

    def begin(name):
        rule = learned(RULES_HERE[name])
        request.getfixturevalue("fake")
        criterion = MixedSquaredError() if rule.task == "regression" else MixedCrossEntropy()
        return rule, criterion

    return begin


def test_hidden_layers_are_mixed_on_the_device(fake_after_learning, monkeypatch):
    rule, criterion = fake_after_learning("manifold")
    # Fake numbers cannot be read: the one read per 256 steps is what this leaves out.
    names = iter(["input", "layer1", "layer2"] * 100)
    monkeypatch.setattr(_LayerDraw, "next", lambda self: next(names))
    net = net_of(criterion)
    state = state_of(net)
    state.hidden = HiddenMixing(rule, [0.3] * MEMBERS, net.module_, state.streams)
    for batch in batches_of(rule, criterion):
        # As far as the loss: the backward pass of a fake device asks its driver.
        assert batch_losses(net, Batch(*batch), state)["loss"].device == torch.device(DEVICE)


def test_a_stack_updates_its_members_on_the_device(fake):
    net = net_of(MixedCrossEntropy())
    net.module_.bind(net.criterion_, [stream.noise for stream in streams()], rows=[SIZE, 2])
    adam = StackAdamW(list(net.module_.parameters()))
    options = {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.1}
    adam.bind([{"lr": 0.1, **options}, {"lr": 0.2, **options}])()
    assert adam.step.device == torch.device(DEVICE)


def test_a_tensor_beside_the_device_would_be_noticed(fake):
    class Beside(type(RULES_HERE["mixup"])):
        def mix_x(self, x, mix):
            return super().mix_x(x, mix) + torch.ones(x.shape)

    net = net_of(MixedCrossEntropy())
    with pytest.raises(RuntimeError, match=r"two different devices|same device"):
        manual_epoch(net, batches_of(Beside(), net.criterion_), state_of(net))
