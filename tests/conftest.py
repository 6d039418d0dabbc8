"""What tests share: small tables, a net of a user's, a browser, closed figures."""

import os
import shutil
import sys

# Two workers of two threads each would wait for each other; to be set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from torch import nn


class NoisyNet(nn.Module):
    """What a user might write: batch normalisation and dropout."""

    def __init__(self, in_features, out_features, dropout=0.0):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(in_features, 8),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(max(dropout, 0.3)),
            nn.Linear(8, out_features),
        )

    def forward(self, x):
        return self.body(x)


@pytest.fixture(autouse=True)
def _close_figures():
    """Close what displays have opened: matplotlib warns about more than 20 figures."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def noisy_net():
    """A module class with BatchNorm and Dropout."""
    return NoisyNet


@pytest.fixture
def two_classes():
    """Sixty rows, four columns, labels 0 and 1 with some noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] + 0.3 * rng.normal(size=60) > 0).astype(int)


@pytest.fixture
def three_classes():
    """Sixty rows, four columns, labels 0 to 2."""
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1, 2], 20)
    return (rng.normal(size=(60, 4)) + 2 * np.eye(3, 4)[y]).astype(np.float32), y


@pytest.fixture
def line():
    """Sixty rows, four columns, one value that is linear in them with some noise."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(60, 4)).astype(np.float32)
    return X, X @ np.array([1.0, -2.0, 0.5, 0.0]) + 0.1 * rng.normal(size=60)


BROWSER_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium without a window, where it and its driver are installed."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("Chromium or its driver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    profile = f"--user-data-dir={tmp_path_factory.mktemp('profile')}"
    for flag in [*BROWSER_FLAGS.split(), profile]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()
