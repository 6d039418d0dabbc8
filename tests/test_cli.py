import subprocess
import sys

from typer.testing import CliRunner

from mixup_tab import __version__
from mixup_tab.cli.app import app


def test_version():
    assert CliRunner().invoke(app, ["version"]).stdout.strip() == __version__


def test_help_needs_no_torch():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from mixup_tab.cli.app import app\n"
        "result = CliRunner().invoke(app, ['--help'])\n"
        "assert 'benchmark' in result.stdout\n"
        "print([m for m in ('torch', 'sklearn', 'pandas', 'numpy') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
