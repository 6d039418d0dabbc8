"""A search's file that was damaged, is in use, or does not fit on the disk."""

import json
import os
import random
import re
import sys

import pytest
from hostile import mutate_bytes, mutate_json, number_of_cases
from test_search_checkpoint import assert_same, chunks_in, scores, table

from mixup_tab import MixupClassifier, MixupSearchCV
from mixup_tab._resumable import digest

GRID = {"alpha": [0, 0.3], "hidden_layer_sizes": [(2,), (3,), (4,)]}
CHUNKS = 3


def fit(path, scoring="neg_log_loss", **params):
    net = MixupClassifier(n_estimators=1, max_epochs=1, random_state=0)
    params = {"cv": 2, "refit": False, "n_jobs": 1, "return_train_score": True, **params}
    return MixupSearchCV(net, GRID, checkpoint=path, scoring=scoring, **params).fit(*table())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "search.jsonl"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """What is in the file of a search that has ended, and its scores."""
    path = tmp_path_factory.mktemp("finished") / "search.jsonl"
    expected = scores(fit(path))
    assert sorted(os.listdir(path.parent)) == ["search.jsonl"]
    return path.read_bytes(), expected


def refused(path, content, **params):
    """Whether a file is refused in the words that are promised, and left as it was."""
    path.write_bytes(content)
    try:
        fit(path, **params)
    except ValueError as error:
        message = str(error)
    else:
        return False
    assert f"checkpoint={str(path)!r} " in message
    assert re.search(r"Delete (it|line \d+)|[Cc]hoose another path", message)
    assert path.read_bytes() == content
    return True


# ------------------------------------------------------------------------- damaged files


def hashed(header, pieces):
    """Write a file as a search does, with a hash in each line."""
    run = json.loads(header)["value"]
    lines = [{**piece, "hash": digest([run, *piece.values()])} for piece in pieces]
    return header + b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def in_parts(content):
    header, *lines = content.splitlines(keepends=True)
    pieces = [json.loads(line) for line in lines]
    return header, [{key: piece[key] for key in ("key", "value")} for piece in pieces]


def mutate_lines(content, rng):
    """Take lines out, repeat or swap them, or change one of their values."""
    lines = content.splitlines(keepends=True)
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    change = rng.choice(["remove", "repeat", "swap", "value", "value", "value"])
    if change == "remove":
        del lines[one]
    elif change == "repeat":
        lines.insert(other, lines[one])
    elif change == "swap":
        lines[one], lines[other] = lines[other], lines[one]
    else:
        lines[one] = json.dumps(mutate_json(json.loads(lines[one]), rng)).encode() + b"\n"
    return b"".join(lines)


def test_damage_is_refused_or_changes_nothing(path, finished):
    content, expected = finished
    rng = random.Random(0)
    found = []
    for case in range(number_of_cases(150)):
        damaged = (mutate_bytes if case % 2 else mutate_lines)(content, rng)
        found.append(refused(path, damaged))
        if not found[-1]:
            assert sorted(chunks_in(path)) == list(range(CHUNKS))
            assert_same(scores(fit(path)), expected)
    assert sum(found) > 0.5 * len(found)
    assert not all(found)


@pytest.mark.filterwarnings("ignore")  # scores and fits that failed, as the file says
def test_whoever_knows_the_hash_cannot_make_it_fail_in_another_way(path, finished):
    """Scores that look like scores are taken for true: the hash is against accidents."""
    header, pieces = in_parts(finished[0])
    assert hashed(header, pieces) == finished[0]
    rng = random.Random(1)
    for _ in range(number_of_cases(60)):
        forged = list(pieces)
        number = rng.randrange(CHUNKS)
        forged[number] = {**pieces[number], "value": mutate_json(pieces[number]["value"], rng)}
        refused(path, hashed(header, forged))
    forged[0] = {"key": [0], "value": pieces[0]["value"]}
    assert refused(path, hashed(header, forged))
    wrong = [b"[" * 100_000, b'{"key": 0, "value": ' + b"9" * 6000 + b"}", b"{", b"\xff"]
    for line in wrong:
        assert refused(path, header + line + b"\n")


WRONG_RESULTS = {
    "an unknown chunk": lambda pieces: pieces[0].update(key=CHUNKS),
    "a negative chunk": lambda pieces: pieces[2].update(key=-1),
    "a chunk that is no number": lambda pieces: pieces[0].update(key=True),
    "a chunk twice": lambda pieces: pieces.append(pieces[0]),
    "another chunk's results": lambda pieces: pieces[0].update(value=pieces[1]["value"]),
    "a fit less": lambda pieces: pieces[0]["value"].pop(),
    "a fit more": lambda pieces: pieces[0]["value"].append([99, None]),
    "a score as text": lambda pieces: pieces[0]["value"][0][1].update(test_scores="0.5"),
    "scores of several metrics": lambda pieces: pieces[0]["value"][0][1].update(
        test_scores={"a": 1.0}
    ),
    "a score too large": lambda pieces: pieces[0]["value"][0][1].update(test_scores=10**400),
    "no score": lambda pieces: pieces[0]["value"][0][1].pop("train_scores"),
}


@pytest.mark.parametrize("change", WRONG_RESULTS.values(), ids=WRONG_RESULTS)
def test_results_that_cannot_be_true_are_refused(change, path, finished):
    header, pieces = in_parts(finished[0])
    change(pieces)
    assert refused(path, hashed(header, pieces))


@pytest.mark.parametrize("scoring", [["accuracy", "neg_log_loss"], "own"])
def test_names_of_metrics_are_checked(scoring, path):
    def own(estimator, X, y):
        return {"own": estimator.score(X, y)}

    scoring = own if scoring == "own" else scoring
    fit(path, scoring)
    header, pieces = in_parts(path.read_bytes())
    for wrong in ({}, {"own": "1"}, [1.0]):
        pieces[0]["value"][0][1]["test_scores"] = wrong
        assert refused(path, hashed(header, pieces), scoring=scoring)


def test_a_score_that_was_changed_is_noticed(path, finished):
    content, expected = finished
    score = str(expected["split0_test_score"][0]).encode()
    assert content.count(score) == 1
    for other in (score[:-1] + b"%d" % ((score[-1] + 1) % 10), b"NaN", b"Infinity"):
        assert refused(path, content.replace(score, other))


def test_a_file_that_is_not_text_does_not_fill_the_memory(path):
    if sys.platform == "win32":
        pytest.skip("Windows has no sparse file by truncate")
    path.touch()
    os.truncate(path, 2**40)  # zeros that are nowhere on the disk
    with pytest.raises(ValueError, match="is not a file of finished results"):
        fit(path)
    assert path.stat().st_size == 2**40


# -------------------------------------------------------------------------- files in use


def test_a_second_search_on_a_file_is_refused(path):
    """The file is free again when the first has ended."""

    def searches(estimator, X, y):
        with pytest.raises(ValueError, match=r"checkpoint=.* is in use by another run"):
            fit(path)
        return 1.0

    fit(path, searches, error_score="raise")
    with pytest.raises(ValueError, match="different scoring"):
        fit(path)
    fit(path, searches, error_score="raise")
    assert os.listdir(path.parent) == [path.name]


# ---------------------------------------------------------------------------- a full disk


def fit_with_room(path, size):
    """Fit where no file may grow beyond a size."""
    resource = pytest.importorskip("resource", reason="Windows limits no file")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(OSError, match=r"checkpoint=.* cannot be written .*free some space"):
            fit(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_takes_no_finished_fit(path, finished):
    content, expected = finished
    lines = content.splitlines(keepends=True)
    fit_with_room(path, len(lines[0]) // 2)
    assert os.listdir(path.parent) == []
    for whole in (1, 2):
        path.unlink(missing_ok=True)
        room = len(b"".join(lines[: whole + 1])) - len(lines[whole]) // 2  # times differ
        fit_with_room(path, room)
        assert len(chunks_in(path)) == whole - 1
        assert os.listdir(path.parent) == [path.name]
    assert_same(scores(fit(path)), expected)
    assert sorted(chunks_in(path)) == list(range(CHUNKS))
