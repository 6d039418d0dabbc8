"""Damaged and hostile archives, tables and sounds: read as they were, or one clear error.

The number of mutations of each kind of file is MIXUP_TAB_FUZZ.
"""

import gzip
import io
import random
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hostile import archive, mutate_bytes, mutate_zip, number_of_cases
from test_datasets_cifar import records
from test_datasets_delgado import FILES, packed

from mixup_tab.datasets import fetch_delgado, fetch_uci, load_cifar, uci

IRIS = replace(uci.cards()["iris"], sha256=None)
ROWS = "\n".join(f"{i / 10},3.5,1.4,0.2,Iris-{'abc'[i % 3]}" for i in range(150)).encode()
FOLDS = b"row,file,tune,fold1,fold2,fold3,fold4\n" + b"".join(
    b"%d,all,train,train,test,train,test\n%d,all,valid,test,train,test,train\n" % (k, k + 1)
    for k in (0, 2, 4)
)
TABLE = b"a,b,target\n" + b"".join(b"%d,2.5,%d\n" % (k, k % 2) for k in range(6))
IMAGES = records("cifar100", [1, 0], 0)[1]
DELGADO = {name: text.encode() for name, text in FILES.items() if "iris" in name}


def as_gzip(mutate):
    """Damage what is packed, so that the checksum fits."""
    return lambda data, rng: gzip.compress(mutate(gzip.decompress(data), rng), 1)


# Place and values of a tar file's fields: the name, the size, the kind of a member.
FIELDS = [
    (0, [b"../x\0", b"/x\0", b"a" * 100, b"\0", b"data/iris\0", b"data/iris/iris_R.dat/x\0"]),
    (
        124,
        [b"7" * 11 + b"\0", b"0" * 12, b"-0000000001\0", b"\xff" * 12, b"\x80" + b"\x7f" * 11],
    ),
    (156, [bytes([kind]) for kind in b"0123456xgLKSV\0"]),
]


def mutate_tar(data, rng):
    """Change a field of a header whose checksum fits, or damage the whole."""
    if rng.random() < 0.3:
        return mutate_bytes(data, rng)
    plain = bytearray(data)
    starts = [k for k in range(0, len(plain), 512) if plain[k + 257 : k + 262] == b"ustar"]
    start = rng.choice(starts)
    place, values = rng.choice(FIELDS)
    value = rng.choice(values)
    plain[start + place : start + place + len(value)] = value
    plain[start + 148 : start + 156] = b" " * 8
    plain[start + 148 : start + 156] = b"%06o\0 " % sum(plain[start : start + 512])
    return bytes(plain)


# Of each kind: files by name, which one is damaged and how, and what reads it.
CASES = {
    "zip": (
        {"uci/53/iris.zip": archive(("inner.zip", archive(("iris.data", ROWS))))},
        (mutate_bytes, mutate_zip),
        lambda home: fetch_uci("iris", data_home=home, download_if_missing=False).frame,
    ),
    "zip of text": (
        {"uci/53/iris.zip": archive(("iris.data", ROWS), ("Index", b"iris"))},
        (mutate_zip,),
        lambda home: fetch_uci("iris", data_home=home, download_if_missing=False).frame,
    ),
    "table": (
        {"mine.csv.gz": gzip.compress(TABLE)},
        (mutate_bytes, as_gzip(mutate_bytes)),
        lambda home: fetch_uci("mine", data_home=home).frame,
    ),
    "tar": (
        {"delgado/data.tar.gz": packed(FILES)},
        (mutate_bytes, as_gzip(mutate_tar), as_gzip(mutate_tar)),
        lambda home: fetch_delgado("iris", data_home=home, as_frame=True),
    ),
    "rows": (
        {f"delgado/sets/{name[5:]}": text for name, text in DELGADO.items()},
        (mutate_bytes,),
        lambda home: fetch_delgado("iris", data_home=home, as_frame=True),
    ),
    "partitions": (
        {
            "folds/iris.csv.gz": gzip.compress(FOLDS),
            "delgado121/iris.csv.gz": gzip.compress(TABLE),
        },
        (mutate_bytes, as_gzip(mutate_bytes)),
        lambda home: fetch_delgado("iris", data_home=home, as_frame=True),
    ),
    "images": (
        {"train.bin": IMAGES, "test.bin": IMAGES, "fine_label_names.txt": b"apple\nbear\n"},
        (mutate_bytes,),
        lambda home: load_cifar(home, "cifar100"),
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_damaged_data_set_is_read_or_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(uci, "cards", lambda: {"iris": IRIS})
    files, mutations, read = CASES[kind]
    rng = random.Random(kind)
    refused = 0
    for case in range(-1, number_of_cases(25)):
        home = tmp_path / str(case)
        damaged = rng.choice(sorted(files)) if case >= 0 else None
        for name, content in files.items():
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            change = rng.choice(mutations) if name == damaged else lambda data, rng: data
            path.write_bytes(change(content, rng))
        message = ""
        try:
            read(home)
        except (ValueError, OSError) as error:
            message = str(error)
            refused += 1
        assert not message or case >= 0
        assert not message or str(home) in message
        assert "\n" not in message
        left = [p for p in home.rglob("*") if p.name.startswith(".")]
        assert left == []
    assert refused > 0


def sound(kind, subtype=None):
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")
    file = io.BytesIO()
    tone = np.sin(np.arange(2 * 800) / 9).reshape(-1, 2) / 2
    soundfile.write(file, tone, 8000, format=kind, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(
    "kind",
    [
        ("WAV",),
        ("WAV", "FLOAT"),
        ("WAV", "IMA_ADPCM"),
        ("AIFF",),
        ("FLAC",),
        ("OGG",),
        ("MP3",),
    ],
)
@pytest.mark.parametrize("seconds", [0.05, None])
def test_a_damaged_sound_is_read_or_refused(tmp_path, kind, seconds):
    from mixup_tab.audio import ClipError, read_clip

    content, rng = sound(*kind), random.Random(0)
    path = tmp_path / "clip"
    for _ in range(number_of_cases(25)):
        path.write_bytes(mutate_bytes(content, rng))
        with suppress(ClipError):
            clip = read_clip(path, sample_rate=8000, seconds=seconds, size_limit=10**7)
            assert np.isfinite(clip).all()
            assert clip.nbytes <= 10**7
