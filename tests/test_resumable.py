"""The file that keeps finished pieces, and the processes that compute them."""

import json
import os
import sys
import time

import numpy as np
import pytest

from mixup_tab._resumable import Journal, check_n_jobs, in_processes, open_journal

IDENTITY = {"table": "abc", "seed": 0, "alphas": (0.1, 1.0)}
PIECES = {"a": {"error": 0.1, "α": [1, None, "x"]}, "b": np.float64("nan"), "c": np.arange(3)}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run" / "finished.jsonl"
    with Journal(path, IDENTITY) as journal:
        for key, value in PIECES.items():
            journal.add(key, value)
    return path


def read(path, identity=IDENTITY):
    with Journal(path, identity) as journal:
        return journal.finished


def test_what_was_added_comes_back_and_goes_on(path):
    kept = read(path)
    assert json.dumps(kept) == json.dumps({**PIECES, "b": float("nan"), "c": [0, 1, 2]})
    with Journal(path, IDENTITY) as journal:
        journal.add("d", 1)
    assert list(read(path)) == ["a", "b", "c", "d"]


def test_another_run_is_refused_by_name_and_left_alone(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"another run \(different seed, alphas\)\."):
        read(path, {**IDENTITY, "seed": 1, "alphas": [0.1]})
    with pytest.raises(ValueError, match="different versions"):
        read(path, {**IDENTITY, "versions": "2"})
    assert path.read_bytes() == before


def test_no_cut_and_no_flipped_bit_is_read_as_another_result(path):
    whole, lines = path.read_bytes(), path.read_bytes().splitlines(keepends=True)
    for size in range(0, len(whole), 9):
        path.write_bytes(whole[:size])
        kept = read(path)
        assert list(kept) == list(PIECES)[: max(whole[:size].count(b"\n") - 1, 0)]
        assert path.read_bytes().count(b"\n") == len(kept) + 1  # half a line is gone
    expected = json.dumps(kept := dict(read_lines(lines)))
    for place in range(0, len(whole), 5):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            found = read(path)
        except ValueError:
            assert path.read_bytes() == changed
            continue
        assert set(found) <= set(kept)
        assert json.dumps({**kept, **found}) == expected


def read_lines(lines):
    for line in map(json.loads, lines[1:]):
        yield line["key"], line["value"]


def test_a_changed_score_is_named(path):
    path.write_bytes(path.read_bytes().replace(b'"error": 0.1', b'"error": 0.2'))
    with pytest.raises(ValueError, match=r"is damaged\. Delete line 2 of 'finished\.jsonl'"):
        read(path)


def test_a_line_of_another_run_is_refused(path):
    other = {**IDENTITY, "seed": 1}
    line = path.read_bytes().splitlines(keepends=True)[1]
    path.unlink()
    assert read(path, other) == {}
    path.write_bytes(path.read_bytes() + line)
    with pytest.raises(ValueError, match="Delete line 2 of"):
        read(path, other)


def test_the_first_line_must_be_the_first(path):
    first, *lines = path.read_bytes().splitlines(keepends=True)
    for content in (b"".join([*lines, first]), b"".join(lines)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not a file of finished results"):
            read(path)


def test_a_piece_twice_or_of_another_form_is_refused(path):
    content = path.read_bytes()
    path.write_bytes(content + content.splitlines(keepends=True)[2])
    with pytest.raises(ValueError, match="Delete line 5 of"):
        read(path)
    path.write_bytes(content)
    refused = pytest.raises(ValueError, match=r"^out=1 is damaged\. Delete line 3 of")
    with refused, Journal(path, IDENTITY, "out=1", lambda key, value: key != "b"):
        pass
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "content", [b"mine", b"mine\n", b"{}\n", b"[1]\n", b"\xff\n", b"[" * 9999]
)
def test_a_file_of_something_else_is_refused_and_left_alone(content, path):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is not a file of finished results"):
        read(path)
    assert path.read_bytes() == content


def test_results_of_something_else_are_left_alone(tmp_path):
    (tmp_path / "results.csv").write_text("mine")
    with pytest.raises(ValueError, match="already holds another results"):
        open_journal(tmp_path, IDENTITY)
    assert os.listdir(tmp_path) == ["results.csv"]


def test_two_runs_at_once_are_refused(path):
    in_use = pytest.raises(ValueError, match="is in use by another run")
    with Journal(path, IDENTITY), in_use:
        read(path)
    assert read(path)


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
def test_a_full_disk_loses_nothing(path):
    import resource

    before, size = path.read_bytes(), path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal(path, IDENTITY) as journal:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, limits[1]))
        try:
            with pytest.raises(OSError, match=r"cannot be written .* free some space"):
                journal.add("d", list(range(100)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert path.read_bytes() == before
        assert "d" not in journal.finished
        journal.add("d", 4)
    assert read(path)["d"] == 4


def test_what_json_cannot_hold_is_refused(path):
    refused = pytest.raises(TypeError, match="results must be numbers, text, or lists")
    with Journal(path, IDENTITY) as journal, refused:
        journal.add("d", {1, 2})
    assert list(read(path)) == list(PIECES)


def slowly(seconds):
    time.sleep(seconds)
    return seconds


def twice(number):
    if number == 13:
        os._exit(1)
    return 2 * number


def test_pieces_are_computed_here_where_one_process_is_asked_for():
    assert list(in_processes(twice, range(4), 1)) == [0, 2, 4, 6]
    with pytest.raises(ValueError, match="n_jobs must be a number of processes"):
        check_n_jobs(0)


@pytest.mark.slow
def test_pieces_are_computed_in_processes_and_a_killed_one_is_told():
    assert sorted(in_processes(twice, range(4), 2)) == [0, 2, 4, 6]
    results = in_processes(slowly, [0, 30, 30, 30], 2)
    assert next(results) == 0
    results.close()  # stops the others, without a word
    with pytest.raises(OSError, match="a process was killed, most likely out of memory"):
        list(in_processes(twice, [13, 13], 2))
