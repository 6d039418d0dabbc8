"""Files and folders that appear whole or not at all, also on a disk that is full."""

import codecs
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from mixup_tab._files import as_utf8, check_writable, new_folder, open_whole, write_whole

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="/dev/full is Linux's")


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / ("long name " * 25)  # 250 characters: little room for an ending
    for content in (b"old", b"new"):
        write_whole(path, content)
        assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [(path.name, content)]


def test_a_block_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with suppress(KeyError), open_whole(path) as file:
        file.write(b"half")
        raise KeyError
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


@needs_full
def test_a_device_is_written_to_and_not_replaced():
    check_writable(FULL)
    with pytest.raises(
        OSError, match=r"'/dev/full' .*No space left on device\). Free some space"
    ):
        write_whole(FULL, b"content")
    assert FULL.is_char_device()
    write_whole(Path(os.devnull), b"content")
    assert not Path(os.devnull).is_file()


def test_what_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for place in ("file/deep", "."):
        for write in (check_writable, lambda path: write_whole(path, b"")):
            path = tmp_path / place
            with pytest.raises(OSError, match=rf"'{path}' cannot be .*Choose another path"):
                write(path)
    with suppress(KeyError), new_folder(tmp_path / "folder"):
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# On a system that allows no file above 5,000 bytes, which is a disk without room to a writer:
# what to write, and which file the error names.
BEGIN = """
import gzip, io, resource, signal, sys, tarfile
from pathlib import Path
sys.path.insert(0, {tests!r})
import numpy as np, soundfile
from data_server import serving
from mixup_tab._files import new_folder, write_whole
from mixup_tab.audio import fetch_speech_commands
from mixup_tab.audio.predict import _open_output
from mixup_tab.datasets.archives import untar
from mixup_tab.datasets.download import fetch_file
import speech_commands_archive as miniature

def file():
    write_whole(Path("file"), bytes(9_000))

def folder():
    with new_folder(Path("folder")) as new:
        (new / "small").write_bytes(bytes(10))
        (new / "large").write_bytes(bytes(9_000))

def download():
    with serving(rows=("well", bytes(9_000))) as (address, _):
        fetch_file(f"{{address}}/rows", Path("rows"), size_limit=1e6, time_limit=30)

def archive():
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("file")
        member.size = 9_000
        tar.addfile(member, io.BytesIO(bytes(9_000)))
    Path("a.tar.gz").write_bytes(packed.getvalue())
    untar(Path("a.tar.gz"), Path("unpacked"), 1e6)

def silence():
    fetch_speech_commands(task=12, data_home="home")

def predictions():
    with _open_output(Path("out.csv"), None) as out:
        for number in range(900):
            out.write(f"{{number}}.wav,yes\\n")
            out.flush()

miniature.laid_out(miniature.files(), Path("home/SpeechCommands/speech_commands_v0.02"))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
for write in (file, folder, download, archive, silence, predictions):
    try:
        write()
    except OSError as error:
        print(write.__name__, str(error).replace("\\n", "|"), sep=": ")
"""
EXPECTED = {
    "file": "'file' cannot be written (File too large). Free some space, or choose",
    "folder": "'folder' cannot be written (File too large). Free some space, or choose",
    "download": "there is no space for it (File too large). Free space and try again, or downl",
    "archive": "'unpacked' cannot be written (File too large). Free some space, or choo",
    "silence": "'home/SpeechCommands/speech_commands_v0.02_silence' cannot be written (File to",
    "predictions": "'out.csv' cannot be written (File too large). Free some space, or choose",
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_a_full_disk_is_named_and_nothing_half_written_is_left(tmp_path):
    code = BEGIN.format(tests=str(Path(__file__).parent))
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    said = dict(line.split(": ", 1) for line in run.stdout.splitlines())
    assert list(said) == list(EXPECTED)
    for name, words in EXPECTED.items():
        assert words in said[name]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"a.tar.gz", "home", "out.csv"}
    assert [p.name for p in (tmp_path / "home").iterdir()] == ["SpeechCommands"]
    assert (tmp_path / "out.csv").read_text().splitlines()[-1].endswith(".wav,yes")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_text_from_outside_has_no_mark(encoding):
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    assert as_utf8(mark + "né\r\n".encode(encoding)) == "né\r\n".encode()


def test_half_a_letter_of_utf_16_is_an_error():
    with pytest.raises(UnicodeDecodeError):
        as_utf8(codecs.BOM_UTF16_LE + b"a")
