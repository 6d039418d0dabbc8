"""Members of zip files, and tar.gz files unpacked completely or not at all."""

import gzip
import io
import tarfile
import zipfile

import pytest

from mixup_tab.datasets import archives
from mixup_tab.datasets.archives import (
    check_inside,
    count_members,
    read_gzip,
    read_members,
    untar,
)

LIMIT = 10**6


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(*names, link=None):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
        if link:
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    return buffer.getvalue()


def test_zip_members_are_found_below_folders_and_inside_inner_archives(tmp_path):
    inner = zipped(**{"data/b.csv": "inner b", "more-b.csv": "not this"})
    path = tmp_path / "outer.zip"
    path.write_bytes(zipped(**{"inner.zip": inner, "SET/a.data": "outer a"}))
    assert read_members(path, ["a.data", "b.csv"], LIMIT) == [b"outer a", b"inner b"]
    with pytest.raises(ValueError, match=r"no member 'c\.data'; it has inner\.zip, SET/a\.da"):
        read_members(path, ["c.data"], LIMIT)


def test_a_zip_file_with_a_flipped_bit_is_refused(tmp_path):
    spoilt = bytearray(zipped(**{"rows.data": "1,2\n3,4\n" * 400}))
    spoilt[60] ^= 0xFF
    path = tmp_path / "rows.zip"
    path.write_bytes(spoilt)
    with pytest.raises(ValueError, match="not a complete zip file"):
        read_members(path, ["rows.data"], LIMIT)


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/evil", "..\\evil", "C:\\evil", "\\\\host\\evil"]
)
def test_members_that_would_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="would leave the folder"):
        check_inside(["fine", name])
    path = tmp_path / "archive"
    path.write_bytes(zipped(**{"rows.data": "1", name: "2"}))
    with pytest.raises(ValueError, match="would leave the folder"):
        read_members(path, ["rows.data"], LIMIT)
    path.write_bytes(tarred("fine", name))
    with pytest.raises(ValueError, match="would leave the folder"):
        untar(path, tmp_path / "folder", LIMIT)
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


def test_a_tar_file_is_unpacked_where_members_are_placed_and_links_are_not(tmp_path):
    path, folder = tmp_path / "archive.tar.gz", tmp_path / "in" / "folder"
    path.write_bytes(tarred("./a/b.txt", "c.txt", link="d.txt"))
    untar(path, folder, LIMIT)
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*.*")}
    assert files == {"a/b.txt", "c.txt"}
    assert (folder / "a" / "b.txt").read_text() == "./a/b.txt"

    def place(name):
        return "moved.txt" if name == "c.txt" else None

    assert count_members(path, LIMIT, place) == 1
    untar(path, tmp_path / "other", LIMIT, place)
    assert [file.name for file in (tmp_path / "other").iterdir()] == ["moved.txt"]


GOOD = tarred(*(f"{n}.txt" for n in range(200)))
SPOILT = bytearray(GOOD)
SPOILT[-6] ^= 0xFF  # the checksum of gzip
INCOMPLETE = {
    "cut": GOOD[: len(GOOD) // 2],
    "spoilt": bytes(SPOILT),
    "page": b"<html>Please log in</html>",
    "no tar": gzip.compress(b"hello" * 300, mtime=0),
}


@pytest.mark.parametrize("case", INCOMPLETE)
def test_unpacking_is_all_or_nothing(tmp_path, case):
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(INCOMPLETE[case])
    with pytest.raises(ValueError, match=r"is not a complete tar\.gz file"):
        untar(path, tmp_path / "in" / "folder", LIMIT)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["archive.tar.gz", "in"]


# ----------------------------------------------------------------------------- limits


class Zeros:
    def read(self, size):
        return bytes(size)


def tar_member(kind=tarfile.REGTYPE, size=10**9, name="big", content=b""):
    """A tar.gz file with a member that states a size, whatever its content."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return gzip.compress(member.tobuf() + content + bytes(2048), 1)


def many_members(number):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for _ in range(number):
            archive.addfile(tarfile.TarInfo("file"))
    return buffer.getvalue()


def sparse():
    member = tarfile.TarInfo("holes")
    member.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(10**15)}
    member.size = 1
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member, io.BytesIO(b"1"))
    return buffer.getvalue()


def zeros_in_a_tar():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("big")
        member.size = LIMIT
        archive.addfile(member, Zeros())
    return buffer.getvalue()


LARGE_TARS = {
    "content": (zeros_in_a_tar(), "its content has 1,000,512 bytes or more"),
    "stated": (tar_member(), "its content has 1,000,000,512 bytes or more"),
    "header": (tar_member(tarfile.XHDTYPE), "header of unusual length"),
    "long name": (tar_member(tarfile.GNUTYPE_LONGNAME), "header of unusual length"),
    "negative": (tar_member(size=-1024, content=bytes(512)), "its members|complete tar"),
    "sparse": (sparse(), "an unsupported compression"),
    "after the end": (gzip.compress(bytes(LIMIT + 1)), "its content has|complete tar"),
    "name": (tar_member(size=0, name="a" * 300), "its member 'a*' cannot be written"),
    "a file as a folder": (tarred("a", "a/b"), "its member 'b' cannot be written"),
}


@pytest.mark.parametrize("case", LARGE_TARS)
def test_a_tar_file_that_is_larger_than_it_looks_is_refused(tmp_path, case):
    content, words = LARGE_TARS[case]
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        untar(path, tmp_path / "folder", LIMIT)
    assert list(tmp_path.iterdir()) == [path]


def test_a_tar_file_of_very_many_members_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_MOST_MEMBERS", 200)
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(many_members(200))
    assert count_members(path, LIMIT, str) == 200
    path.write_bytes(many_members(201))
    with pytest.raises(ValueError, match="more than 200 members"):
        count_members(path, LIMIT, str)


def lying_zip(size):
    """A zip file whose directory and header state another size of its member."""
    true = zipped(**{"rows.data": b"1" * 5000})
    return true.replace((5000).to_bytes(4, "little"), size.to_bytes(4, "little"))


def nested(depth, **members):
    content = zipped(**members)
    for _ in range(depth):
        content = zipped(**{"inner.zip": content})
    return content


def stored(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


INNER = zipped(**{"other.data": b"1"})  # may have a beginning that is ignored
LARGE_ZIPS = {
    "member": (zipped(**{"rows.data": bytes(LIMIT + 1)}), "'rows.data' has 1,000,001 bytes"),
    "inner": (zipped(**{"inner.zip": bytes(9 * LIMIT)}), "'inner.zip' has 9,000,000 bytes"),
    "two": (zipped(**{f"{k}.zip": bytes(600_000) + INNER for k in "ab"}), "'b.zip' has 600,1"),
    "deep": (nested(3, **{"rows.data": b"1"}), "it has no member 'rows.data'"),
    "says more": (lying_zip(2**31), "'rows.data' has 2,147,483,648 bytes or more"),
    "says less": (lying_zip(7), "not a complete zip file"),
    "method": (stored(**{"rows.data": b"1"}), "an unsupported compression"),
    "list": (
        zipped(**{f"{k:09}" * 7000: b"" for k in range(70)}),
        "its list of members has 4,4.* bytes or more",
    ),
}


@pytest.mark.parametrize("case", LARGE_ZIPS)
def test_a_zip_file_that_is_larger_than_it_looks_is_refused(tmp_path, case):
    content, words = LARGE_ZIPS[case]
    path = tmp_path / "rows.zip"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_members(path, ["rows.data"], LIMIT)


def test_the_limit_of_a_zip_file_can_be_raised_and_holds_for_all_members(tmp_path):
    path = tmp_path / "rows.zip"
    path.write_bytes(nested(2, **{"a": bytes(600), "b": bytes(600)}))
    assert read_members(path, ["a", "b"], 1200) == [bytes(600)] * 2
    with pytest.raises(ValueError, match=r"'b' has 600 bytes or more, .*size_limit=599"):
        read_members(path, ["a", "b"], 1199)


def test_a_gzip_file_is_read_up_to_its_limit(tmp_path):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(bytes(1000)))
    assert read_gzip(path, 1000) == bytes(1000)
    with pytest.raises(ValueError, match=r"its content has 1,000 bytes or more.*limit=999\."):
        read_gzip(path, 999)
    path.write_bytes(gzip.compress(bytes(1000))[:-3])
    with pytest.raises(ValueError, match="not a complete gzip file"):
        read_gzip(path, 1000)
