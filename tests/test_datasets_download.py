"""Downloads from a server on this machine that behaves well or badly."""

import hashlib
import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from data_server import serving
from test_datasets_archives import zipped

from mixup_tab._files import DAY
from mixup_tab.datasets import download
from mixup_tab.datasets.archives import read_members

fetch_file = partial(download.fetch_file, size_limit=10**6, time_limit=30)
GOOD = zipped(**{"rows.data": "1,2\n3,4\n" * 400})
SUM = hashlib.sha256(GOOD).hexdigest()
BAD = {
    "404": "the server answered 404 Not Found",
    "500": "the server answered 500 Internal Server Error",
    "truncated": "closed the connection before the end",
    "too_short_a_length": "not a complete zip file",
    "chunks_without_end": "closed the connection before the end",
    "stalled": "the server sent nothing for 0.3 seconds",
    "silence": "the server sent nothing for 0.3 seconds",
}
STOPPED = {
    "dripping": (
        {"time_limit": 0.5},
        r"took longer than time_limit=0\.5 seconds\. Raise",
    ),
    "dripping_headers": ({"time_limit": 0.5}, r"took longer than time_limit=0\.5 seconds"),
    "well": ({"size_limit": len(GOOD) - 1}, f"has {len(GOOD):,} bytes or more, and the limit"),
    "endless": (
        {"size_limit": 10**6},
        r"and the limit is size_limit=1,000,000\. Raise",
    ),
    "chunks_without_end": ({"size_limit": 9}, r"and the limit is size_limit=9\. Raise"),
}


def check(path):
    read_members(path, ["rows.data"], 10**6)


def left_in(folder):
    return [path for path in folder.rglob("*") if path.is_file() or ".partial" in path.name]


def test_a_file_is_downloaded_once(tmp_path):
    path = tmp_path / "deep" / "rows.zip"
    with serving(rows=("well", GOOD)) as (address, asked):
        for _ in range(2):
            fetch_file(f"{address}/rows", path, check=check, sha256=SUM)
    assert path.read_bytes() == GOOD
    assert left_in(tmp_path) == [path]
    assert asked == ["/rows"]


@pytest.mark.parametrize("how", BAD)
def test_a_bad_server_leaves_nothing_and_says_what_to_do(tmp_path, monkeypatch, how):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    path, sha256 = tmp_path / "rows.zip", SUM if how == "404" else None
    with (
        serving(rows=(how, GOOD)) as (address, _),
        pytest.raises(OSError, match=BAD[how]) as caught,
    ):
        fetch_file(f"{address}/rows", path, check=check, sha256=sha256)
    assert f"{address}/rows yourself and save it as {path}" in str(caught.value)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("how", STOPPED)
def test_what_is_too_large_or_too_slow_is_stopped(tmp_path, how):
    limits, words = STOPPED[how]
    with serving(rows=(how, GOOD)) as (address, _):
        before = time.monotonic()
        with pytest.raises(OSError, match=words):
            fetch_file(f"{address}/rows", tmp_path / "rows", sha256=SUM, **limits)
        assert time.monotonic() - before < 5
    assert left_in(tmp_path) == []


REDIRECTS = {
    "circle": ({"a": ("to", b"/b"), "b": ("to", b"/a")}, "redirects in a loop, to http.*/a"),
    "itself": ({"a": ("to", b"/a")}, "redirects in a loop, to http.*/a again"),
    "deep": (
        {"a": ("deeper", b"")},
        "redirects more than 10 times, last to http.*/axxxxxxxxxx",
    ),
    "file": ({"a": ("to", b"file:///etc/passwd")}, "'file:///etc/passwd', which is not secure"),
    "ftp": ({"a": ("to", b"ftp://host/a")}, "'ftp://host/a', which is not secure"),
}


@pytest.mark.parametrize("case", REDIRECTS)
def test_redirects_that_lead_nowhere_are_named(tmp_path, case):
    pages, words = REDIRECTS[case]
    with serving(**pages) as (address, asked), pytest.raises(OSError, match=words):
        fetch_file(f"{address}/a", tmp_path / "rows.zip", check=check)
    assert len(asked) <= 11
    assert left_in(tmp_path) == []


def test_a_redirect_is_followed_whatever_comes_beside_it(tmp_path):
    with serving(a=("to", b"/b"), b=("well", GOOD)) as (address, _):
        fetch_file(f"{address}/a", tmp_path / "rows.zip", check=check)
    assert left_in(tmp_path) == [tmp_path / "rows.zip"]


@pytest.mark.parametrize("limit", ["size_limit", "time_limit"])
def test_limits_are_positive_numbers(tmp_path, limit):
    for value, error in ((0, ValueError), (float("nan"), ValueError), ("9", TypeError)):
        with pytest.raises(error, match=f"{limit}={value!r} must be a positive number"):
            fetch_file("http://127.0.0.1:9/rows", tmp_path / "rows", **{limit: value})


@pytest.mark.parametrize("how", ["truncated", "chunks_without_end", "stalled"])
def test_a_broken_download_is_continued(tmp_path, monkeypatch, how):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    path, part = tmp_path / "long", tmp_path / "long.part"
    body = random.Random(0).randbytes(500_000)
    whole = {"check": bool, "sha256": hashlib.sha256(body).hexdigest()}
    with (
        serving(long=(how, body)) as (address, _),
        pytest.raises(OSError, match=r"it resumes after the 0\.2 MB downloaded so far"),
    ):
        fetch_file(f"{address}/long", path, **whole)
    came = part.read_bytes()
    assert body.startswith(came)
    assert left_in(tmp_path) == [part]
    with serving(long=("rest", body)) as (address, asked):
        fetch_file(f"{address}/long", path, **whole)
    assert asked.ranges == [f"bytes={len(came)}-"]
    assert path.read_bytes() == body
    assert left_in(tmp_path) == [path]


@pytest.mark.parametrize(
    ("part", "how"),
    [(GOOD[:60], "well"), (b"other" * 99, "well"), (GOOD, "rest"), (b"", "rest")],
    ids=["server starts over", "not longer than part", "all was there", "nothing was there"],
)
def test_every_beginning_ends_in_the_whole_file(tmp_path, part, how):
    path = tmp_path / "rows.zip"
    (tmp_path / "rows.zip.part").write_bytes(part)
    limits = {"size_limit": len(GOOD), "time_limit": float("inf")}
    with serving(rows=(how, GOOD)) as (address, _):
        fetch_file(f"{address}/rows", path, check=check, sha256=SUM, **limits)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"rows.zip": GOOD}


def test_the_beginning_of_another_file_is_not_kept(tmp_path):
    path = tmp_path / "rows.zip"
    (tmp_path / "rows.zip.part").write_bytes(b"x" * 60)
    with serving(rows=("rest", GOOD)) as (address, _):
        with pytest.raises(OSError, match="its sha256 is"):
            fetch_file(f"{address}/rows", path, check=check, sha256=SUM)
        assert left_in(tmp_path) == []
        fetch_file(f"{address}/rows", path, check=check, sha256=SUM)
    assert path.read_bytes() == GOOD


def test_two_at_a_time_download_once(tmp_path):
    path = tmp_path / "rows.zip"
    with serving(rows=("slowly", GOOD)) as (address, asked):
        with ThreadPoolExecutor(3) as pool:
            calls = [
                pool.submit(fetch_file, f"{address}/rows", path, check=check, sha256=SUM)
                for _ in range(3)
            ]
        for call in calls:
            call.result()
    assert asked == ["/rows"]
    assert left_in(tmp_path) == [path]


def test_what_a_killed_process_left_is_discarded(tmp_path):
    old, young = tmp_path / ".partial-old", tmp_path / ".partial-young"
    for folder in (old, young):
        folder.mkdir()
        (folder / "rows.zip").write_bytes(GOOD[:50])
    yesterday = time.time() - 2 * DAY
    os.utime(old, (yesterday, yesterday))
    with serving(rows=("well", GOOD)) as (address, _):
        fetch_file(f"{address}/rows", tmp_path / "rows.zip", check=check)
    assert sorted(path.name for path in tmp_path.iterdir()) == [young.name, "rows.zip"]


EVIL = zipped(**{"../evil": "boo", "rows.data": "1"})
OTHER = zipped(**{"rows.data": "9,9\n"})
UNUSABLE = {
    "checksum": (OTHER, SUM, f"sha256 is {hashlib.sha256(OTHER).hexdigest()}"),
    "web page": (b"<html>Please log in</html>", None, "not a complete zip file"),
    "evil": (EVIL, None, r"member '\.\./evil' would leave the folder"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_files_are_not_kept(tmp_path, case):
    body, sha256, message = UNUSABLE[case]
    with serving(rows=("well", body)) as (address, _), pytest.raises(OSError, match=message):
        fetch_file(f"{address}/rows", tmp_path / "rows.zip", check=check, sha256=sha256)
    assert left_in(tmp_path) == []


def test_a_file_put_there_by_hand_is_verified(tmp_path):
    path = tmp_path / "rows.zip"
    path.write_bytes(zipped(**{"rows.data": "9,9\n"}))
    with pytest.raises(
        OSError, match=f"{path} is not the expected file: .*should be {SUM}.*Delete it"
    ):
        fetch_file("http://127.0.0.1:9/rows", path, check=check, sha256=SUM)


def test_without_requests_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "requests", None)
    with pytest.raises(ImportError, match=r"requests.*mixup-tab\[data\]"):
        fetch_file("http://127.0.0.1:9/rows", tmp_path / "rows.zip", check=check)
    assert left_in(tmp_path) == []


def test_without_a_server_or_the_permission_to_ask_it(tmp_path):
    path = tmp_path / "rows.zip"
    with serving() as (address, _):
        pass
    with pytest.raises(OSError, match="the server cannot be reached"):
        fetch_file(f"{address}/rows", path, check=check)
    with pytest.raises(
        OSError, match=f"download {address}/rows yourself and save it as {path}"
    ):
        fetch_file(f"{address}/rows", path, check=check, download_if_missing=False)
