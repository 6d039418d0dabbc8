"""Sound files with odd headers and scales, all of the same tone, made byte by byte."""

import io
import struct

import numpy as np
import soundfile

RATE = 16_000
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
PCM = np.rint(TONE * 32768).astype("<i2").tobytes()
_INFO = b"INFOISFT\4\0\0\0abc\0"
_GUID = bytes.fromhex("000000001000800000aa00389b71")


def encode(samples, kind="WAV", subtype=None, rate=RATE):
    """Return a file as soundfile writes it."""
    file = io.BytesIO()
    soundfile.write(file, np.asarray(samples), rate, format=kind, subtype=subtype)
    return file.getvalue()


def chunk(name, content, *, size=None, padded=True):
    size = len(content) if size is None else size
    return name + struct.pack("<I", size) + content + b"\0" * (padded and len(content) % 2)


def riff(*chunks, size=None, head=b"RIFF"):
    body = b"WAVE" + b"".join(chunks)
    return head + struct.pack("<I", len(body) if size is None else size) + body


def fmt(tag=1, *, channels=1, rate=RATE, bits=16, align=None, extra=b"", bytes_per_second=None):
    align = channels * ((bits + 7) // 8) if align is None else align
    speed = rate * align if bytes_per_second is None else bytes_per_second
    fields = struct.pack("<HHIIHH", tag, channels, rate, speed, align, bits)
    return chunk(b"fmt ", fields + extra)


def extensible(tag, *, bits, valid):
    extra = struct.pack("<HHIH", 22, valid, 0, tag) + _GUID
    return fmt(0xFFFE, bits=bits, extra=extra)


def integers(bits, low):
    """Little-endian integers of so many bits in whole bytes, with unused low bits."""
    values = np.rint(TONE * 2 ** (bits - 1)).astype(int) << low
    return b"".join(int(v).to_bytes((bits + low) // 8, "little", signed=True) for v in values)


def _big_endian():
    head = b"RIFX" + struct.pack(">I", 36 + len(PCM)) + b"WAVEfmt "
    head += struct.pack(">IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    data = np.frombuffer(PCM, "<i2").astype(">i2").tobytes()
    return head + b"data" + struct.pack(">I", len(PCM)) + data


def _rf64(size, frames):
    ds64 = struct.pack("<QQQI", size + 72, size, frames, 0)
    sound = chunk(b"data", PCM, size=0xFFFFFFFF)
    return riff(chunk(b"ds64", ds64), fmt(), sound, size=0xFFFFFFFF, head=b"RF64")


DATA = chunk(b"data", PCM)
ID3 = b"ID3\3\0\0\0\0\0\x0a" + bytes(10)
TAGS = chunk(b"LIST", _INFO)
PLAIN = riff(fmt(), DATA)

# Odd headers of a file that every player plays, and how large the error may be.
PLAYABLE = {
    "plain": (PLAIN, 1e-4),
    "extensible": (riff(extensible(1, bits=16, valid=16), DATA), 1e-4),
    "extensible, 12 valid bits": (riff(extensible(1, bits=16, valid=12), DATA), 1e-4),
    "24 bits in 32": (
        riff(extensible(1, bits=32, valid=24), chunk(b"data", integers(24, 8))),
        1e-6,
    ),
    "12 bits in 16": (riff(fmt(bits=12, align=2), chunk(b"data", integers(12, 4))), 1e-3),
    "20 bits in 24": (riff(fmt(bits=20, align=3), chunk(b"data", integers(20, 4))), 1e-5),
    "fact": (riff(fmt(), chunk(b"fact", struct.pack("<I", RATE)), DATA), 1e-4),
    "wrong fact": (riff(fmt(), chunk(b"fact", struct.pack("<I", 7)), DATA), 1e-4),
    "tags before fmt": (riff(TAGS, fmt(), DATA), 1e-4),
    "tags after data": (riff(fmt(), DATA, TAGS), 1e-4),
    "odd chunk": (riff(fmt(), chunk(b"junk", b"abc"), DATA), 1e-4),
    "broadcast": (riff(chunk(b"bext", bytes(602)), fmt(), DATA), 1e-4),
    "long fmt": (riff(fmt(extra=bytes(24)), DATA), 1e-4),
    "no block size": (riff(fmt(align=0), DATA), 1e-4),
    "no speed": (riff(fmt(bytes_per_second=0), DATA), 1e-4),
    "RIFF size 0": (riff(fmt(), DATA, size=0), 1e-4),
    "RIFF size too small": (riff(fmt(), DATA, size=100), 1e-4),
    "RIFF size too large": (riff(fmt(), DATA, size=10**6), 1e-4),
    "stream": (riff(fmt(), chunk(b"data", PCM, size=0xFFFFFFFF), size=0xFFFFFFFF), 1e-4),
    "stream with tags": (riff(fmt(), TAGS, chunk(b"data", PCM, size=0x80000000)), 1e-4),
    "something after": (PLAIN + b"something else" * 99, 1e-4),
    "big endian": (_big_endian(), 1e-4),
    "RF64": (_rf64(len(PCM), RATE), 1e-4),
    "ID3 FLAC": (ID3 + encode(TONE, "FLAC"), 1e-4),
    "ID3 MP3": (ID3 + encode(TONE, "MP3"), 0.05),
    "FLAC and more": (encode(TONE, "FLAC") + b"x" * 999, 1e-4),
    "OGG and more": (encode(TONE, "OGG") + b"x" * 999, 0.05),
    "MP3 in WAV": (
        riff(
            fmt(0x55, bits=0, align=1, extra=struct.pack("<HHIHHH", 12, 1, 2, 144, 1, 1393)),
            chunk(b"data", encode(TONE, "MP3")),
        ),
        0.05,
    ),
}
for _kind, _subtype, _close in (
    ("WAV", "PCM_U8", 0.01),
    ("WAV", "PCM_24", 1e-6),
    ("WAV", "PCM_32", 1e-6),
    ("WAV", "FLOAT", 1e-6),
    ("WAV", "DOUBLE", 1e-6),
    ("WAV", "ULAW", 0.02),
    ("WAV", "ALAW", 0.02),
    ("WAV", "IMA_ADPCM", 0.1),
    ("WAV", "MS_ADPCM", 0.1),
    ("WAV", "GSM610", 0.3),
    ("WAV", "NMS_ADPCM_32", 0.3),
    ("AIFF", "PCM_S8", 0.01),
    ("AIFF", "FLOAT", 1e-6),
    ("AU", "PCM_16", 1e-4),
    ("CAF", "ALAC_16", 1e-4),
    ("CAF", "ALAC_24", 1e-6),
    ("W64", "PCM_16", 1e-4),
    ("NIST", "PCM_16", 1e-4),
    ("VOC", "PCM_16", 1e-4),
    ("SVX", "PCM_16", 1e-4),
    ("FLAC", "PCM_S8", 0.01),
    ("FLAC", "PCM_24", 1e-6),
    ("OGG", "OPUS", 0.05),
):
    PLAYABLE[f"{_kind} {_subtype}"] = (encode(TONE, _kind, _subtype), _close)


def _floats(samples):
    return encode(samples, subtype="FLOAT")


# Odd scales, and by what the tone is multiplied when it is read.
SCALED = {
    "16-bit integers as floats": (_floats(np.rint(TONE * 2**15)), 1),
    "filtered 16-bit integers": (_floats(TONE * 2**15), 1),
    "doubles": (encode(np.rint(TONE * 2**15), subtype="DOUBLE"), 1),
    "24-bit integers as floats": (_floats(np.rint(TONE * 2**23)), 1),
    "32-bit integers as floats": (_floats(TONE * 2**31), 1),
    "quiet integers as floats": (_floats(np.rint(TONE * 64)), 2**-9),
    "beyond full scale": (_floats(TONE * 3), 3),
    "very quiet floats": (_floats(TONE / 5_000), 2**12 / 5_000),
    "very quiet, 24 bits": (encode(TONE / 5_000, subtype="PCM_24"), 2**12 / 5_000),
    "offset": (encode(TONE / 2 + 0.4), 0.5),
    "inverted": (encode(np.stack([TONE, -TONE], 1)), 1),
    "nearly inverted": (encode(np.stack([-0.9 * TONE, TONE], 1)), 1),
    "inverted, with an offset": (encode(np.stack([TONE / 2 + 0.3, 0.3 - TONE / 2], 1)), 0.5),
    "one silent channel": (encode(np.stack([TONE, 0 * TONE], 1)), 0.5),
    "six channels": (encode(np.stack([TONE] * 6, 1)), 1),
    "one of six": (encode(np.stack([TONE, *[0 * TONE] * 5], 1)), 1 / 6),
}

# What cannot be read, and why.
UNREADABLE = {
    "data size 0": (riff(fmt(), chunk(b"data", PCM, size=0)), "the recording was not finished"),
    "RF64 size 0": (_rf64(0, 0), "the recording was not finished"),
    "data size too large": (riff(fmt(), chunk(b"data", PCM, size=64_000)), "is truncated"),
    "two streams": (encode(TONE, "OGG") + encode(TONE, "OGG"), "reads only the first"),
    "rate 0": (riff(fmt(rate=0), DATA), "damaged"),
    "no channels": (riff(fmt(channels=0, align=2), DATA), "Channel count is zero"),
    "0 bits": (riff(fmt(bits=0, align=2), DATA), "unimplemented format"),
    "integers called floats": (riff(fmt(3, bits=32), chunk(b"data", integers(32, 0))), "float"),
    "unclear scale": (_floats(TONE * 200), "up to 100, but full scale is 1"),
    "huge": (_floats(TONE * 1e30), "up to 5e[+]29"),
    "NaN": (_floats(np.where(TONE > 0.49, np.nan, TONE)), "NaN"),
    "m4a": (b"\0\0\0\x20ftypM4A " + bytes(500), "is MPEG-4.*ffmpeg"),
    "webm": (b"\x1aE\xdf\xa3\x9fB\x86" + bytes(500), "is WebM"),
    "wma": (bytes.fromhex("3026b2758e66cf11a6d9") + bytes(500), "is WMA"),
    "aac": (b"\xff\xf1\x50\x80\2\x1f\xfc" + b"!" * 500, "is AAC"),
    "amr": (b"#!AMR\n" + b"<" * 500, "is AMR"),
    "DSF": (b"DSD " + struct.pack("<QQQ", 28, 500, 0) + bytes(500), "is DSD"),
    "DFF": (b"FRM8" + bytes(8) + b"DSD " + bytes(500), "is DSD"),
    "APE": (b"MAC \x96\x0f" + bytes(500), "is Monkey's Audio"),
    "WavPack": (b"wvpk" + bytes(500), "is WavPack"),
    "BW64": (riff(fmt(), DATA, head=b"BW64"), "is BW64"),
    "MIDI": (b"MThd\0\0\0\6" + bytes(500), "is MIDI"),
    "LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
    "web page": (b"<!DOCTYPE html><html>404</html>" + b" " * 500, "is a web page"),
    "zip": (b"PK\3\4" + bytes(500), "is an archive"),
    "macOS": (b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(500), "delete it"),
    "raw": (PCM, "Format not recognised"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(500), "Format not recognised"),
}
