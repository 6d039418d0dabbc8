"""Downloads from a server on this machine that behaves well or badly."""

import hashlib
import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from data_server import serving
from test_datasets_archives import zipped

from mixup_tab.datasets import download
from mixup_tab.datasets.archives import read_members
from mixup_tab.datasets.download import fetch_file

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


def check(path):
    read_members(path, ["rows.data"])


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


@pytest.mark.parametrize("how", ["truncated", "chunks_without_end", "stalled"])
def test_a_broken_download_is_continued(tmp_path, monkeypatch, how):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    path, part = tmp_path / "long", tmp_path / "long.part"
    body = random.Random(0).randbytes(500_000)
    whole = {"check": bool, "sha256": hashlib.sha256(body).hexdigest()}
    with (
        serving(long=(how, body)) as (address, _),
        pytest.raises(OSError, match=r"it continues after the 0\.2 MB downloaded so far"),
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
    with serving(rows=(how, GOOD)) as (address, _):
        fetch_file(f"{address}/rows", path, check=check, sha256=SUM)
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
    yesterday = time.time() - 2 * download.DAY
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
    with pytest.raises(OSError, match="there is no connection to the server"):
        fetch_file(f"{address}/rows", path, check=check)
    with pytest.raises(
        OSError, match=f"download {address}/rows yourself and save it as {path}"
    ):
        fetch_file(f"{address}/rows", path, check=check, download_if_missing=False)
