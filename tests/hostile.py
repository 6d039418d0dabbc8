"""Functions that damage files, and one that watches what is done while they are read."""

import copy
import hashlib
import io
import json
import os
import random
import struct
import sys
import warnings
import zipfile
from contextlib import contextmanager

_VALUES = [None, True, 0, -1, 0.5, 10**7, 10**30, -(10**30), float("nan"), float("inf")]
_VALUES += ["", "x", "../x", "os.system", "\x00", "9" * 5000, [], {}, [[]], {"": None}]


def number_of_cases(default):
    """Return how many mutations to try: MIXUP_TAB_FUZZ, or the default."""
    return int(os.environ.get("MIXUP_TAB_FUZZ", default))


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip bits, cut the end off, or remove, repeat, overwrite or insert a block."""
    start = rng.randrange(len(data) + 1)
    stop = min(start + rng.choice([1, 4, 30, 1000]), len(data))
    block = data[start:stop]
    change = rng.choice(["flip", "flip", "cut", "remove", "repeat", "zero", "insert"])
    if change == "cut":
        return data[:start]
    if change == "flip":
        flipped = bytearray(data)
        for _ in range(rng.choice([1, 1, 8, 100])):
            flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(flipped)
    other = {
        "remove": b"",
        "repeat": block * rng.choice([2, 50]),
        "zero": rng.choice([b"\x00", b"\xff"]) * len(block),
        "insert": rng.randbytes(rng.choice([1, 8, 300])) + block,
    }
    return data[:start] + other[change] + data[stop:]


def mutate_json(obj, rng: random.Random):
    """Return a copy of plain JSON in which one value, key or item is another."""
    obj = {"": copy.deepcopy(obj)}
    places = list(_places(obj))
    holder, key = rng.choice(places)
    change = rng.choice(["value", "value", "value", "near", "swap", "remove", "nest"])
    if change == "remove" and holder is not obj:
        del holder[key]
    elif change == "swap":
        other, there = rng.choice(places)
        holder[key] = copy.deepcopy(other[there])
    elif change == "nest":
        for _ in range(rng.choice([1, 200])):
            holder[key] = [holder[key]] if rng.random() < 0.5 else {"x": holder[key]}
    else:
        holder[key] = _near(holder[key], rng) if change == "near" else rng.choice(_VALUES)
    return obj[""]


def _places(obj):
    items = obj.items() if isinstance(obj, dict) else enumerate(obj)
    for key, value in list(items):
        yield obj, key
        if isinstance(value, (dict, list)):
            yield from _places(value)


def _near(value, rng):
    """Return something that resembles a value."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, (int, float)):
        return rng.choice([-value, value + 1, value * 10**6, str(value), [value]])
    if isinstance(value, str):
        return rng.choice([value[:-1], value + "x", value.upper(), f" {value}", [value]])
    if isinstance(value, list):
        return rng.choice([value * 2, value[:-1], value[::-1], [*value, 0]])
    return {**value, "unknown": 1}


def members(archive: bytes) -> dict[str, bytes]:
    """Return what a zip archive holds."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return {name: file.read(name) for name in file.namelist()}


def archive(*parts: tuple[str, bytes], compression=zipfile.ZIP_STORED) -> bytes:
    """Return a zip archive of members, of which two may have one name."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the same name twice
        for name, part in parts:
            file.writestr(name, part)
    return content.getvalue()


def mutate_zip(data: bytes, rng: random.Random) -> bytes:
    """Drop, repeat, rename, swap, empty, damage or inflate a member, or lie about its size."""
    parts = list(members(data).items())
    k = rng.randrange(len(parts))
    name, part = parts[k]
    change = rng.choice(
        ["drop", "repeat", "rename", "swap", "empty", "damage", "deflate", "bomb", "size"]
    )
    if change == "size":
        return _with_size(data, rng)
    if change == "drop":
        del parts[k]
    elif change == "repeat":
        parts.append((name, mutate_bytes(part, rng)))
    elif change == "rename":
        parts[k] = (
            rng.choice([name + "x", "../" + name, "/" + name, "x", name + "\x00x"]),
            part,
        )
    elif change == "swap":
        other = rng.randrange(len(parts))
        parts[k], parts[other] = (name, parts[other][1]), (parts[other][0], part)
    elif change == "empty":
        parts[k] = (name, b"")
    elif change == "damage":
        parts[k] = (name, mutate_bytes(part, rng))
    elif change == "bomb":
        parts[k] = (name, part + bytes(20_000_000))
    packed = change in ("deflate", "bomb")
    return archive(*parts, compression=zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)


def _with_size(data: bytes, rng: random.Random) -> bytes:
    """Return an archive whose directory lies about a size."""
    starts, place = [], data.find(b"PK\x01\x02")
    while place >= 0:
        starts.append(place)
        place = data.find(b"PK\x01\x02", place + 1)
    if not starts:
        return data[:-1]
    field = rng.choice(starts) + rng.choice([20, 24, 42])  # packed, unpacked, offset
    size = rng.choice([0, 1, 1000, 2**31, 2**32 - 1])
    return data[:field] + struct.pack("<I", size) + data[field + 4 :]


def mutate_safetensors(data: bytes, rng: random.Random) -> bytes:
    """Change the header of a safetensors file, whose first eight bytes are its length."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(mutate_json(json.loads(data[8 : 8 + length]), rng)).encode()
    said = rng.choice([len(header)] * 6 + [0, 2**40])
    return said.to_bytes(8, "little") + header + data[8 + length :]


# ------------------------------------------------------------------- what reading a file does

_seen: list[tuple[str, str]] | None = None
_FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.startfile")
_FORBIDDEN += ("subprocess.Popen", "socket.", "exec", "os.remove", "os.rename")
_FORBIDDEN += ("os.mkdir", "os.rmdir", "shutil.", "pickle.find_class", "ctypes.dlopen")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND


def _hook(event, args):
    if _seen is None or (event == "ctypes.dlopen" and "nvidia-ml" in repr(args)):
        return  # torch looks for a GPU
    if event.startswith(_FORBIDDEN) or (event == "import" and args[0] not in sys.modules):
        _seen.append((event, repr(args)[:200]))
    if event == "open" and isinstance(args[2], int) and args[2] & _WRITING:
        _seen.append((event, repr(args)[:200]))


sys.addaudithook(_hook)


@contextmanager
def watched():
    """Yield a list of what happened that no reader of a file should do.

    These are: programs started, code run, modules imported that were not before, files written
    or removed, sockets, pickle. Read a good file first, so that what the reader itself imports
    is there.
    """
    global _seen
    _seen = found = []
    try:
        yield found
    finally:
        _seen = None


# ------------------------------------------------------------------------------ model files


def sealed(parts: dict[str, bytes]) -> bytes:
    """Return a model file of these parts, as somebody who means harm would write it."""
    parts = {name: part for name, part in parts.items() if name != "sha256"}
    digest = hashlib.sha256()
    for name, part in parts.items():
        digest.update(f"{name} {len(part)}\n".encode() + part)
    return archive(*parts.items(), ("sha256", digest.hexdigest().encode()))


def with_schema(model: bytes, change) -> bytes:
    """Return a model file whose pipeline has another schema: ``change(schema)``."""
    parts = members(model)
    pipeline = members(parts["model.skops"])
    schema = json.loads(pipeline["schema.json"])
    schema = change(schema) or schema
    pipeline["schema.json"] = json.dumps(schema).encode()
    return sealed({**parts, "model.skops": archive(*pipeline.items())})


def nodes(schema) -> list[dict]:
    """Return the nodes of a schema of skops that have a kind."""
    found = [value for holder, key in _places({"": schema}) for value in [holder[key]]]
    return [node for node in found if isinstance(node, dict) and "__loader__" in node]


def mutate_schema(schema, rng: random.Random):
    """Give a node another kind, type, number, reference or value, or change any JSON."""
    found = nodes(schema)
    node, other = rng.choice(found), rng.choice(found)
    change = rng.choice(["name", "kind", "number", "refer", "json", "json", "any"])
    if change == "any":
        return mutate_json(schema, rng)
    if change == "name":
        names = [("os", "system"), ("builtins", "eval"), ("builtins", "open"), ("this", "s")]
        names += [("skrub", "SkrubLearner"), (other["__module__"], other["__class__"])]
        names += [(node["__module__"], rng.choice(["x", "", None, 3, "__init__"]))]
        node["__module__"], node["__class__"] = rng.choice(names)
    elif change == "kind":
        kinds = ["ReduceNode", "MethodNode", "PartialNode", "OperatorFuncNode", "SetNode", None]
        kinds += ["ConstructorFromReduceNode", "SparseMatrixNode", "BytesNode", "CachedNode"]
        node["__loader__"] = rng.choice([*kinds, other["__loader__"]])
    elif change == "number":
        node["__id__"] = rng.choice([0, -1, 1, True, "1", None, other["__id__"]])
    elif change == "refer":
        number = other["__id__"]
        node.clear()
        node["__id__"] = number
    else:
        node = rng.choice([node for node in found if node["__loader__"] == "JsonNode"])
        value = json.loads(node["content"])
        new = _near(value, rng) if rng.random() < 0.5 else rng.choice(_VALUES)
        node["content"] = json.dumps(new)
    return schema


def mutate_model(model: bytes, rng: random.Random) -> bytes:
    """Return a model file with one part changed, and a right hash of it."""
    parts = members(model)
    del parts["sha256"]
    name = rng.choice(list(parts))
    if name == "model.json":
        head = json.loads(parts[name])
        changed = mutate_json(head, rng)
        if isinstance(head.get("about"), dict) and rng.random() < 0.7:
            changed = {**head, "about": mutate_json(head["about"], rng)}
        parts[name] = json.dumps(changed).encode()
    elif name == "weights.safetensors":
        parts[name] = rng.choice([mutate_safetensors, mutate_bytes])(parts[name], rng)
    elif rng.random() < 0.8:
        return with_schema(model, lambda schema: mutate_schema(schema, rng))
    else:
        parts[name] = rng.choice([mutate_zip, mutate_bytes])(parts[name], rng)
    if rng.random() < 0.05:
        parts[rng.choice(list(parts))] = b""
    return sealed(parts)
