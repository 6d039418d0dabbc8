"""Memory-mapped tables: read in place, the same bits as in memory, within a limit on memory."""

import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mixup_tab import MixupClassifier, MixupRegressor


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint8"])
@pytest.mark.parametrize("options", [{}, {"early_stopping": True, "alpha": "auto"}])
def test_a_file_gives_the_bits_of_an_array(dtype, options, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 200, (300, 4)).astype(dtype)
    for make, y in ((MixupClassifier, X[:, 0] > np.median(X[:, 0])), (MixupRegressor, X[:, 1])):
        y = np.asarray(y, float if make is MixupRegressor else None)
        np.save(tmp_path / "X.npy", X)
        np.save(tmp_path / "y.npy", y)
        files = [np.load(tmp_path / name, mmap_mode="r") for name in ("X.npy", "y.npy")]
        params = {"max_epochs": 2, "hidden_layer_sizes": (8,), "random_state": 0, **options}
        one, other = make(**params).fit(X, y), make(**params).fit(*files)
        assert_array_equal(one.predict(X), other.predict(files[0]))
        assert_array_equal(one.net_.raw_outputs(X), other.net_.raw_outputs(files[0]))


# Fits and predicts a table of 160 MB when only 100 MB more may be written to. What is mapped
# read-only does not count.
WITHIN_A_LIMIT = """
import resource, sys
import numpy as np, torch
from mixup_tab import MixupClassifier
torch.set_num_threads(1)
net = MixupClassifier(hidden_layer_sizes=(128,), n_estimators=1, embedding="none",
                      max_epochs=1, batch_size=4096, random_state=0)
X, y = np.load(sys.argv[1] + "/X.npy", mmap_mode="r"), np.arange(200_000) % 2
net.fit(X[:9000], y[:9000]).predict(X[:9000])  # makes what stays, such as buffers
with open("/proc/self/status") as file:
    used = 1024 * int(next(line for line in file if line.startswith("VmData")).split()[1])
resource.setrlimit(resource.RLIMIT_DATA, (used + 100_000_000,) * 2)
print(net.fit(X, y).predict(X).shape)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit does not hold elsewhere")
def test_fit_and_predict_stay_within_a_limit(tmp_path):
    X = np.random.default_rng(0).standard_normal((200_000, 200), dtype=np.float32)
    np.save(tmp_path / "X.npy", X)
    command = [sys.executable, "-c", WITHIN_A_LIMIT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == ("(200000,)\n", "")
