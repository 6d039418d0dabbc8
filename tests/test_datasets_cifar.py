import numpy as np
import pytest

from mixup_tab.datasets import load_cifar

NAMES = {
    "cifar10": ["airplane", "automobile", "bird"],
    "cifar100": ["apple", "aquarium_fish", "baby"],
}
FOLDERS = {"cifar10": "cifar-10-batches-bin", "cifar100": "cifar-100-binary"}


def records(name, labels, seed):
    """Images and the bytes of their records, as the site of CIFAR describes them."""
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), 3, 32, 32), np.uint8)
    content = b""
    for label, image in zip(labels, images, strict=True):
        content += bytes([label] if name == "cifar10" else [7, label])
        for channel in image:
            content += b"".join(bytes(row.tolist()) for row in channel)
    return images, content


@pytest.fixture(params=["cifar10", "cifar100"])
def made(request, tmp_path):
    name = request.param
    folder = tmp_path / FOLDERS[name]
    folder.mkdir()
    if name == "cifar10":
        files = {f"data_batch_{k}.bin": [k % 3, 1] for k in range(1, 6)}
        files["test_batch.bin"] = [2, 0]
        (folder / "batches.meta.txt").write_text("\n".join(NAMES[name]) + "\n\n")
    else:
        files = {"train.bin": [2, 0, 1], "test.bin": [1]}
        (folder / "fine_label_names.txt").write_text("\n".join(NAMES[name]) + "\n")
    images = {}
    for seed, (file, labels) in enumerate(files.items()):
        images[file], content = records(name, labels, seed)
        (folder / file).write_bytes(content)
    return name, folder, files, images


def test_images_and_names_come_back(made):
    name, folder, files, images = made
    cifar = load_cifar(str(folder), name)
    assert cifar.target_names == NAMES[name]
    *train, test = files
    for part, parts in (("train", train), ("test", [test])):
        data, target = cifar[f"{part}_data"], cifar[f"{part}_target"]
        assert data.dtype == np.float32
        expected = np.concatenate([images[file] for file in parts])
        np.testing.assert_allclose(data, expected / 255, rtol=1e-6)
        codes = [code for file in parts for code in files[file]]
        assert target.tolist() == [NAMES[name][code] for code in codes]


def test_the_folder_above_will_do_and_whole_numbers_take_half_the_memory(made):
    name, folder, _, _ = made
    floats = load_cifar(folder, name).train_data
    whole = load_cifar(folder.parent, name, dtype="int16").train_data
    assert whole.dtype == np.int16
    assert whole.max() > 127
    np.testing.assert_array_equal(whole, np.rint(255 * floats))


def test_a_missing_file_is_named(made):
    name, folder, files, _ = made
    missing = list(files)[-1]
    (folder / missing).unlink()
    with pytest.raises(ValueError, match=rf"lacks {missing}\. Unpack the binary .*cifar\.html"):
        load_cifar(folder, name)


def test_the_python_version_is_told_from_a_wrong_folder(tmp_path):
    with pytest.raises(ValueError, match=r"lacks data_batch_1\.bin, ") as caught:
        load_cifar(tmp_path)
    assert "Python version" not in str(caught.value)
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x04")
    with pytest.raises(ValueError, match="the unsupported Python version"):
        load_cifar(tmp_path)


@pytest.mark.parametrize("keep", [0, 3000])
def test_a_file_cut_short_is_named(made, keep):
    name, folder, files, _ = made
    path = folder / next(iter(files))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        ValueError, match=rf"{path.name} has {keep:,} bytes but should have .*truncated"
    ):
        load_cifar(folder, name)


def test_a_label_without_a_name_is_refused(made):
    name, folder, files, _ = made
    path = folder / next(iter(files))
    path.write_bytes(records(name, [3], 0)[1])
    with pytest.raises(ValueError, match="holds the label 3, but there are names for 3 labels"):
        load_cifar(folder, name)
    for names in folder.glob("*.txt"):
        names.write_text("\n")
    with pytest.raises(ValueError, match="holds no names"):
        load_cifar(folder, name)
    for names in folder.glob("*.txt"):
        names.write_bytes("größer".encode("latin-1"))
    with pytest.raises(ValueError, match=r"is not text in UTF-8 .*Unpack it again"):
        load_cifar(folder, name)


def test_files_that_are_too_large_are_not_read(made):
    name, folder, files, _ = made
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert load_cifar(folder, name, size_limit=size).target_names == NAMES[name]
    with pytest.raises(ValueError, match=rf"has {size:,} bytes .*={size - 1:,}\. Raise"):
        load_cifar(folder, name, size_limit=size - 1)
    with open(folder / next(iter(files)), "ab") as file:
        file.truncate(10**12)  # takes no room
    with pytest.raises(ValueError, match=r"size_limit=200,000,000\. Raise the limit if"):
        load_cifar(folder, name)


@pytest.mark.parametrize("wrong", [{"name": "cifar"}, {"dtype": "uint8"}])
def test_an_unknown_choice_is_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}='.*' must be"):
        load_cifar(tmp_path, **wrong)
