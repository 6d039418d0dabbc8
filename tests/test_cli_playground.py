import pytest
from typer.testing import CliRunner

from mixup_tab.cli.app import app

COLUMNS = ("--x", "a", "--y", "b", "--target", "c")


def call(*arguments):
    return CliRunner().invoke(app, ["playground", *map(str, arguments)])


@pytest.fixture
def table(tmp_path):
    lines = [f"{k % 7},{k * k % 11},{'yes' if k % 3 else 'no'}" for k in range(30)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["height,weight,ill", *lines]))
    return path


def test_a_page_of_a_table_is_written_and_named(table, tmp_path):
    output = tmp_path / "page.html"
    columns = ("--x", "height", "--y", "weight", "--target", "ill")
    result = call("--output", output, "--table", table, *columns, "--alpha", "0.2,1")
    assert result.exit_code == 0, result.output
    assert str(output) in result.stdout.replace("\n", "")
    page = output.read_text("utf-8")
    assert '"columns":["height","weight"]' in page
    assert '"alphas":[0.0,0.2,1.0]' in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--x", "height"), "--x height is a column, but no table is given."),
        (("--alpha", "1e999"), "alpha must be a finite number of at least 0"),
        (("--output", "."), "output must be a file that ends in .html, got '.'"),
        (("--output", "page.csv"), "output must be a file that ends in .html, got 'page.csv'"),
        (("--table", "gone.csv", *COLUMNS), "'gone.csv' does not"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = call(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert not any(tmp_path.iterdir())
