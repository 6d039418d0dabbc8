import hashlib
import io
import os
import random
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from data_server import serving

from mixup_tab.datasets import download
from mixup_tab.datasets.download import fetch_file
from mixup_tab.datasets.members import check_inside, read_members


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


GOOD = zipped(**{"rows.data": "1,2\n3,4\n" * 400})
SUM = hashlib.sha256(GOOD).hexdigest()
BAD = {
    "404": "the server answered 404 Not Found",
    "500": "the server answered 500 Internal Server Error",
    "truncated": "closed the connection before the end",
    "too_short_a_length": "not a whole zip file",
    "chunks_without_end": "closed the connection before the end",
    "stalled": "the server sent nothing for 0.3 seconds",
    "silence": "the server sent nothing for 0.3 seconds",
}


def check(path):
    read_members(path, ["rows.data"])


def left_in(folder):
    return [path for path in folder.rglob("*") if path.is_file() or ".partial" in path.name]


def test_a_file_is_brought_to_its_place_once(tmp_path):
    path = tmp_path / "deep" / "rows.zip"
    with serving(rows=("well", GOOD)) as (address, asked):
        for _ in range(2):
            fetch_file(f"{address}/rows", path, check=check, sha256=SUM)
    assert path.read_bytes() == GOOD
    assert left_in(tmp_path) == [path]
    assert asked == ["/rows"]


@pytest.mark.parametrize("how", BAD)
def test_a_bad_server_leaves_nothing_and_says_what_to_do(tmp_path, monkeypatch, how):
    if how in ("stalled", "silence"):
        monkeypatch.setattr(download, "TIMEOUT", 0.3)
    path = tmp_path / "rows.zip"
    with (
        serving(rows=(how, GOOD)) as (address, _),
        pytest.raises(OSError, match=BAD[how]) as caught,
    ):
        fetch_file(f"{address}/rows", path, check=check)
    assert f"{address}/rows" in str(caught.value)
    assert f"save it as {path}" in str(caught.value)
    assert left_in(tmp_path) == []


def test_a_download_can_be_tried_again(tmp_path):
    path = tmp_path / "rows.zip"
    with serving(rows=("truncated", GOOD)) as (address, _), pytest.raises(OSError):  # noqa: PT011
        fetch_file(f"{address}/rows", path, check=check)
    with serving(rows=("well", GOOD)) as (address, _):
        fetch_file(f"{address}/rows", path, check=check)
    assert path.read_bytes() == GOOD


@pytest.mark.parametrize("how", ["truncated", "chunks_without_end", "stalled"])
def test_what_broke_off_goes_on_where_it_was(tmp_path, monkeypatch, how):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    path, part = tmp_path / "long", tmp_path / "long.part"
    body = random.Random(0).randbytes(500_000)
    whole = {"check": bool, "sha256": hashlib.sha256(body).hexdigest()}
    with (
        serving(long=(how, body)) as (address, _),
        pytest.raises(OSError, match=r"it goes on after the 0\.2 MB that are here"),
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


def test_a_server_that_sends_nothing_leaves_nothing(tmp_path):
    with (
        serving(rows=("404", b"")) as (address, _),
        pytest.raises(OSError, match="answered 404 Not Found"),
    ):
        fetch_file(f"{address}/rows", tmp_path / "rows.zip", check=check, sha256=SUM)
    assert left_in(tmp_path) == []


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


def test_a_wrong_checksum_is_refused(tmp_path):
    other = zipped(**{"rows.data": "9,9\n"})
    with (
        serving(rows=("well", other)) as (address, _),
        pytest.raises(OSError, match=f"sha256 is {hashlib.sha256(other).hexdigest()}"),
    ):
        fetch_file(f"{address}/rows", tmp_path / "rows.zip", check=check, sha256=SUM)
    assert left_in(tmp_path) == []


def test_a_file_put_there_by_hand_is_verified(tmp_path):
    path = tmp_path / "rows.zip"
    path.write_bytes(zipped(**{"rows.data": "9,9\n"}))
    with pytest.raises(OSError, match=f"{path} is another file: .*should be {SUM}.*Remove it"):
        fetch_file("http://127.0.0.1:9/rows", path, check=check, sha256=SUM)


def test_a_web_page_is_no_archive(tmp_path):
    with (
        serving(rows=("well", b"<html>Please log in</html>")) as (address, _),
        pytest.raises(OSError, match="not a whole zip file"),
    ):
        fetch_file(f"{address}/rows", tmp_path / "rows.zip", check=check)
    assert left_in(tmp_path) == []


def test_no_server_is_said_in_plain_words(tmp_path):
    with serving() as (address, _):
        pass
    with pytest.raises(OSError, match="there is no connection to the server"):
        fetch_file(f"{address}/rows", tmp_path / "rows.zip", check=check)


def test_nothing_is_downloaded_where_that_is_not_allowed(tmp_path):
    path = tmp_path / "rows.zip"
    with (
        serving(rows=("well", GOOD)) as (address, asked),
        pytest.raises(OSError, match=f"download {address}/rows .* save it as {path}"),
    ):
        fetch_file(f"{address}/rows", path, check=check, download_if_missing=False)
    assert asked == []


def test_an_archive_with_a_flipped_bit_is_no_good(tmp_path):
    spoilt = bytearray(GOOD)
    spoilt[60] ^= 0xFF
    path = tmp_path / "rows.zip"
    path.write_bytes(spoilt)
    with pytest.raises(ValueError, match="not a whole zip file"):
        check(path)


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:\\evil", "\\\\host\\evil"]
)
def test_members_that_would_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="would leave the folder"):
        check_inside(["fine", name])
    path = tmp_path / "rows.zip"
    path.write_bytes(zipped(**{"rows.data": "1", name: "2"}))
    with pytest.raises(ValueError, match="would leave the folder"):
        check(path)


def test_an_archive_that_would_leave_the_folder_is_not_kept(tmp_path):
    evil = zipped(**{"../evil": "boo", "rows.data": "1"})
    with (
        serving(rows=("well", evil)) as (address, _),
        pytest.raises(OSError, match=r"member '\.\./evil' would leave the folder"),
    ):
        fetch_file(f"{address}/rows", tmp_path / "home" / "rows.zip", check=check)
    assert left_in(tmp_path) == []


def test_members_are_found_below_folders_and_inside_inner_archives(tmp_path):
    inner = zipped(**{"data/b.csv": "inner b", "more-b.csv": "not this"})
    path = tmp_path / "outer.zip"
    path.write_bytes(zipped(**{"inner.zip": inner, "SET/a.data": "outer a"}))
    assert read_members(path, ["a.data", "b.csv"]) == [b"outer a", b"inner b"]
    with pytest.raises(
        ValueError, match=r"no member 'c\.data'; it has inner\.zip, SET/a\.data"
    ):
        read_members(path, ["c.data"])
