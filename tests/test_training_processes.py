"""Other processes after a fit with several threads: joblib's, and forks."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# A step of so wide a net is worth several threads.
SCRIPT = """
import multiprocessing, sys
import numpy as np, torch
from sklearn.model_selection import cross_val_score
from mixup_tab import MixupClassifier

if __name__ == "__main__":
    torch.set_num_threads(2)
    X = np.random.default_rng(0).normal(size=(512, 40))
    y = (X[:, 0] > 0).astype(int)
    net = MixupClassifier(hidden_layer_sizes=(600, 600), batch_size=256, max_epochs=1,
                          n_estimators=1, random_state=0).fit(X, y)
    if sys.argv[1] == "loky":
        scores = [cross_val_score(net, X, y, cv=2, n_jobs=jobs) for jobs in (2, 1)]
        assert np.abs(scores[0] - scores[1]).max() < 0.02, scores
    else:
        def work():
            net.predict_proba(X)
            net.fit(X, y)
        child = multiprocessing.get_context("fork").Process(target=work)
        child.start()
        child.join(60)
        print(child.exitcode)
        child.kill()
        assert child.exitcode == 0
"""


@pytest.mark.parametrize("kind", ["loky", "fork"])
def test_other_processes_work_after_a_fit_with_several_threads(kind, tmp_path):
    if kind == "fork" and sys.platform in ("win32", "darwin"):
        pytest.skip("fork is not for this system")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    env = {**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"}
    subprocess.run([sys.executable, str(script), kind], check=True, timeout=200, env=env)
