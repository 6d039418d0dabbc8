"""Members of zip files, and tar.gz files unpacked completely or not at all."""

import gzip
import io
import tarfile
import zipfile

import pytest

from mixup_tab.datasets.archives import check_inside, count_members, read_members, untar

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
