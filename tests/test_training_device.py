import os
import subprocess
import sys
import threading

import pytest
import torch

from mixup_tab.training.device import WORTH_THREADS, pick_device, threads_for


@pytest.fixture
def two_threads():
    """Two OpenMP threads during the test, the former number after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


# ------------------------------------------------------------------- pick_device


def test_auto_takes_the_best_device_that_is_there():
    if torch.cuda.is_available():
        expected = "cuda"
    else:
        expected = "mps" if torch.backends.mps.is_available() else "cpu"
    assert pick_device("auto") == expected


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_cpu_is_always_there(device):
    assert pick_device(device) == "cpu"


@pytest.mark.parametrize("device", ["gpu", "", "tpu:0", "cpu:x", 3.5, None])
def test_unknown_devices_are_named(device):
    with pytest.raises(ValueError, match="Use 'auto', or one that torch finds: 'cpu'") as error:
        pick_device(device)
    assert f"device={device!r}" in str(error.value)
    assert len(str(error.value)) < 120  # not torch's list of all that could be


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda")])
def test_cuda_is_refused_where_there_is_none(device):
    with pytest.raises(ValueError, match="cannot be used here") as error:
        pick_device(device)
    assert f"device={device!r}" in str(error.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA")
def test_cuda_is_taken_where_it_is():
    assert pick_device("cuda:0") == "cuda:0"
    with pytest.raises(ValueError, match="device='cuda:99' cannot be used here"):
        pick_device("cuda:99")


def test_meta_is_refused():
    with pytest.raises(ValueError, match="device='meta' cannot be used here"):
        pick_device("meta")


# ------------------------------------------------------------------- threads_for


def test_little_work_gets_one_thread_and_the_number_comes_back(two_threads):
    with threads_for(1000):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == two_threads


def test_much_work_keeps_the_threads(two_threads):
    with threads_for(WORTH_THREADS):
        assert torch.get_num_threads() == two_threads


def test_nested_use_restores_the_number_at_the_outermost_end(two_threads):
    with threads_for(10):
        with threads_for(10):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == two_threads


def test_an_exception_restores_the_number(two_threads):
    with pytest.raises(RuntimeError, match="on purpose"), threads_for(10), threads_for(10):
        raise RuntimeError("on purpose")
    assert torch.get_num_threads() == two_threads


def test_use_after_use_restores_the_number(two_threads):
    for _ in range(3):
        with threads_for(10):
            pass
        assert torch.get_num_threads() == two_threads


def test_two_threads_at_once_both_get_one_and_both_get_the_number_back(two_threads):
    # The second enters while the first is inside, and leaves after it.
    second_is_in, first_is_out = threading.Event(), threading.Event()
    first_is_in = threading.Event()
    seen = {}

    def first():
        with threads_for(10):
            first_is_in.set()
            second_is_in.wait(10)
            seen["first, inside"] = torch.get_num_threads()
        seen["first, after"] = torch.get_num_threads()
        first_is_out.set()

    def second():
        first_is_in.wait(10)
        with threads_for(10):
            second_is_in.set()
            first_is_out.wait(10)
            seen["second, inside"] = torch.get_num_threads()
        seen["second, after"] = torch.get_num_threads()

    workers = [threading.Thread(target=work) for work in (first, second)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert seen == {
        "first, inside": 1,
        "first, after": two_threads,
        "second, inside": 1,
        "second, after": two_threads,
    }
    assert torch.get_num_threads() == two_threads


def test_a_thread_that_starts_inside_does_not_keep_the_limit(two_threads):
    seen = []

    def work():
        with threads_for(10):
            pass
        seen.append(torch.get_num_threads())

    with threads_for(10):
        worker = threading.Thread(target=work)
        worker.start()
        worker.join(20)
    assert seen == [two_threads]
    assert torch.get_num_threads() == two_threads


# ------------------------------------------------------------------- keep_freed_memory

FAULTS = """
import resource, torch
from mixup_tab.training.device import keep_freed_memory
if {keeps}:
    keep_freed_memory()
def step():
    blocks = [torch.ones(2**21) for _ in range(4)]  # 8 MB each
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="about glibc")
def test_memory_that_a_step_frees_is_kept_for_the_next():
    variables = os.environ.items()
    plain = {
        name: value for name, value in variables if "MALLOC" not in name and "GLIBC" not in name
    }

    def faults(keeps, **environment):
        command = [sys.executable, "-c", FAULTS.format(keeps=keeps)]
        run = subprocess.run(command, capture_output=True, check=True, env=plain | environment)
        return float(run.stdout)

    pages = 4 * 8 * 2**20 / 4096
    limits = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "67108864"}
    if faults(False, **limits) > pages / 20:
        pytest.skip("this system's malloc does not keep freed memory")
    assert faults(True) < pages / 20
    assert faults(True, MALLOC_TRIM_THRESHOLD_="131072") > pages / 2  # as the user set it
