"""Load CIFAR-10 and CIFAR-100 from the unpacked binary version."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.utils import Bunch

from mixup_tab._plain import check_limit
from mixup_tab.datasets.archives import check_size

_SITE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_SIZE_LIMIT = 200_000_000  # both sets have 184 million bytes


class _Layout(NamedTuple):
    """Files of a data set in the folder that its archive unpacks to."""

    folder: str
    train: tuple[str, ...]
    test: str
    names: str
    label_bytes: int  # before every image; the last one is the class


_LAYOUTS = {
    "cifar10": _Layout(
        "cifar-10-batches-bin",
        tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        "test_batch.bin",
        "batches.meta.txt",
        1,
    ),
    "cifar100": _Layout(
        "cifar-100-binary", ("train.bin",), "test.bin", "fine_label_names.txt", 2
    ),
}


def load_cifar(
    folder: str | os.PathLike,
    name: str = "cifar10",
    *,
    dtype: str = "float32",
    size_limit: float = _SIZE_LIMIT,
) -> Bunch:
    r"""Return the images and labels of CIFAR-10 or CIFAR-100.

    Download one of the sets from https://www.cs.toronto.edu/~kriz/cifar.html and unpack it.
    Use the *binary* version, because the others may contain code.

    Parameters
    ----------
    folder : str or path-like
        The unpacked archive, ``cifar-10-batches-bin`` or ``cifar-100-binary``, or its parent.
    name : {"cifar10", "cifar100"}, default="cifar10"
        Name of the set. CIFAR-100 comes with its 100 fine labels.
    dtype : {"float32", "int16"}, default="float32"
        "float32" gives values in [0, 1]. "int16" gives integers from 0 to 255 in half the
        memory, for a :class:`~mixup_tab.nets.PreparedNet`.
    size_limit : float, default=200_000_000
        Maximum total size of the files in bytes; the sets have 184 million.

    Returns
    -------
    Bunch
        train_data, test_data : ndarray of ``dtype``, shape (images, 3, 32, 32)
            Red, green and blue; 50,000 and 10,000 images in the complete sets.
        train_target, test_target : ndarray of str, shape (images,)
            Labels.
        target_names : list of str
            All labels, in the order of the set.

    Raises
    ------
    ValueError
        If a file is missing, truncated or holds a label without a name, the files are too
        large, or ``name`` or ``dtype`` is unknown.

    Notes
    -----
    A. Krizhevsky 2009, "Learning multiple layers of features from tiny images". float32 takes
    740 MB in all.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for file in ("train.bin", "test.bin"):  # one image: label bytes, then its pixels
    ...         _ = Path(folder, file).write_bytes(bytes([0, 1]) + bytes([255]) * 3072)
    ...     _ = Path(folder, "fine_label_names.txt").write_text("apple\nbear\n")
    ...     cifar = load_cifar(folder, "cifar100")
    >>> cifar.train_data.shape, float(cifar.train_data.max()), cifar.train_target.tolist()
    ((1, 3, 32, 32), 1.0, ['bear'])
    """
    if name not in _LAYOUTS:
        raise ValueError(f"name={name!r} must be one of {list(_LAYOUTS)}.")
    if dtype not in ("float32", "int16"):
        raise ValueError(f"dtype={dtype!r} must be 'float32' or 'int16'.")
    layout = _LAYOUTS[name]
    home = _find_home(folder, layout)
    _check_sizes(home, layout, size_limit)
    names = _read_names(home / layout.names)
    parts = {"train": layout.train, "test": (layout.test,)}
    bunch = Bunch(target_names=names.tolist())
    for part, files in parts.items():
        records = [_read_records(home / file, layout.label_bytes, len(names)) for file in files]
        images = np.concatenate([pixels for _, pixels in records], dtype=dtype)
        bunch[f"{part}_data"] = images if dtype == "int16" else np.divide(images, 255, images)
        bunch[f"{part}_target"] = names[np.concatenate([codes for codes, _ in records])]
    return bunch


def _find_home(folder: str | os.PathLike, layout: _Layout) -> Path:
    """Return the folder that holds all files."""
    home = Path(folder).expanduser()
    if (home / layout.folder).is_dir():
        home = home / layout.folder
    files = (*layout.train, layout.test, layout.names)
    missing = [file for file in files if not (home / file).is_file()]
    if missing:
        pickled = any((home / Path(file).stem).is_file() for file in files)
        what = "; it holds the unsupported Python version" if pickled else ""
        raise ValueError(
            f"folder={str(folder)!r} lacks {', '.join(missing)}{what}. Unpack the binary "
            f"version from {_SITE} and pass its folder, {layout.folder}."
        )
    return home


def _check_sizes(home: Path, layout: _Layout, size_limit: float) -> None:
    check_limit("size_limit", size_limit)
    files = (*layout.train, layout.test, layout.names)
    try:
        check_size("its content", sum((home / f).stat().st_size for f in files), size_limit)
    except ValueError as error:
        raise ValueError(f"folder={str(home)!r} is too large: {error}.") from None


def _read_names(path: Path) -> np.ndarray:
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not text in UTF-8 ({error}). Unpack it again from {_SITE}."
        ) from error
    names = [name for name in names if name]
    if not names:
        raise ValueError(f"{path} holds no names of labels. Unpack it again from {_SITE}.")
    return np.array(names)


def _read_records(path: Path, label_bytes: int, n_names: int) -> tuple[np.ndarray, np.ndarray]:
    """Return class codes, shape (images,), and pixels of uint8, shape (images, 3, 32, 32)."""
    size, values = label_bytes + _PIXELS, np.fromfile(path, np.uint8)
    if not len(values) or len(values) % size:
        raise ValueError(
            f"{path} has {len(values):,} bytes but should have {size:,} per image: it is "
            f"truncated or another file. Unpack it again from {_SITE}."
        )
    records = values.reshape(-1, size)
    codes = records[:, label_bytes - 1]
    if codes.max() >= n_names:
        raise ValueError(
            f"{path} holds the label {codes.max()}, but there are names for {n_names} labels. "
            f"Unpack all files again from {_SITE}."
        )
    return codes, records[:, label_bytes:].reshape(-1, *_SHAPE)
