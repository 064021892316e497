"""Protects: the data are found, are right, and are the numbers that gluon would give.

Where folders matter, the book's copy and the user's files are tiny stand-ins for
Fashion-MNIST: the book's images are black.
"""

import gzip
import hashlib
import struct
import tracemalloc
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon.data import ArrayDataset, DataLoader
from mxnet.gluon.data.vision import transforms

import d2lutil as gb
from d2lutil import fashion_mnist
from d2lutil.data import files
from d2lutil.data.files import DataFile

NUM_IMAGES = 20
TRAIN_IMAGES = "train-images-idx3-ubyte"


def idx_images(num_images: int, brightest: int = 256) -> bytes:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, brightest, (num_images, 28, 28), np.uint8)
    return struct.pack(">4i", 2051, num_images, 28, 28) + pixels.tobytes()


def idx_labels(num_images: int) -> bytes:
    labels = np.arange(num_images, dtype=np.uint8) % 10
    return struct.pack(">2i", 2049, num_images) + labels.tobytes()


CONTENTS = {
    TRAIN_IMAGES: idx_images(NUM_IMAGES),
    "train-labels-idx1-ubyte": idx_labels(NUM_IMAGES),
    "t10k-images-idx3-ubyte": idx_images(10),
    "t10k-labels-idx1-ubyte": idx_labels(10),
}


def fill(folder: Path, **changed: bytes | None) -> Path:
    """Write the four files; `changed` holds other bytes, or None for no file."""
    folder.mkdir()
    for name, content in CONTENTS.items():
        packed = changed.get(name.replace("-", "_"), gzip.compress(content))
        if packed is not None:
            (folder / f"{name}.gz").write_bytes(packed)
    return folder


def fill_decompressed(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let Fashion-MNIST be the stand-in, of which the book has a black copy."""
    tiny_files = {
        name: DataFile(
            len(CONTENTS[name]),
            hashlib.sha256(CONTENTS[name]).hexdigest(),
            ({60_000: NUM_IMAGES, 10_000: 10}[file.shape[0]], *file.shape[1:]),
        )
        for name, file in files.FILES.items()
    }
    black = {TRAIN_IMAGES: idx_images(NUM_IMAGES, 1)}
    black["t10k-images-idx3-ubyte"] = idx_images(10, 1)
    book = fill_decompressed(tmp_path / "book", CONTENTS | black)
    monkeypatch.setattr(files, "FILES", tiny_files)
    monkeypatch.setattr(files, "BOOK_FOLDER", book)
    monkeypatch.setenv("D2LUTIL_SCALE", "full")
    monkeypatch.delenv("D2LUTIL_DATA", raising=False)


def is_of_the_book(**arguments: object) -> bool:
    """Tell where the images come from."""
    train_iter, _ = gb.load_data_fashion_mnist(8, **arguments)
    assert train_iter.images.shape == (NUM_IMAGES, 28, 28, 1)
    return not train_iter.images.any()


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# Which folder is used.


def test_default_root_is_that_of_gluonbook():
    defaults = gb.load_data_fashion_mnist.__defaults__
    assert defaults == (None, str(Path("~/.mxnet/datasets/fashion-mnist")))


def test_without_a_folder_the_copy_of_the_book_is_used_in_silence(tiny, capsys):
    assert is_of_the_book()
    assert is_of_the_book(root=fashion_mnist.DEFAULT_ROOT)
    assert capsys.readouterr().out == ""


def test_default_root_counts_as_not_given_even_where_it_holds_files(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setattr(fashion_mnist, "DEFAULT_ROOT", str(fill(tmp_path / "cache")))
    assert is_of_the_book(root=fashion_mnist.DEFAULT_ROOT)


@pytest.mark.parametrize("place", ["root", "D2LUTIL_DATA"])
@pytest.mark.parametrize("compressed", [True, False])
def test_folder_of_the_user_goes_first(tiny, tmp_path, monkeypatch, place, compressed):
    folder = tmp_path / "mine"
    fill(folder) if compressed else fill_decompressed(folder, CONTENTS)
    if place == "D2LUTIL_DATA":
        monkeypatch.setenv("D2LUTIL_DATA", str(folder))
        assert not is_of_the_book()
    else:
        assert not is_of_the_book(root=folder)


def test_root_goes_before_the_environment(tiny, tmp_path, monkeypatch):
    damaged = fill(tmp_path / "environment", t10k_images_idx3_ubyte=b"")
    monkeypatch.setenv("D2LUTIL_DATA", str(damaged))
    assert not is_of_the_book(root=fill(tmp_path / "root"))


def test_home_folder_may_be_written_as_tilde(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    fill(tmp_path / "mine")
    assert not is_of_the_book(root="~/mine")


@pytest.mark.parametrize("place", ["root", "D2LUTIL_DATA"])
@pytest.mark.parametrize("there", [True, False])
def test_folder_without_the_files_means_the_copy_of_the_book_and_a_line(
    tiny, tmp_path, monkeypatch, capsys, place, there
):
    folder = tmp_path / "mine"
    if there:
        folder.mkdir()
        (folder / "other").touch()
    if place == "D2LUTIL_DATA":
        monkeypatch.setenv("D2LUTIL_DATA", str(folder))
    assert is_of_the_book(**{"root": folder} if place == "root" else {})
    assert capsys.readouterr().out == (
        f"Fashion-MNIST: {folder} holds none of its four files; "
        "the book's copy is used.\n"
    )
    assert folder.exists() == there


def test_folder_with_only_some_files_is_an_error_that_names_the_others(tiny, tmp_path):
    folder = fill(tmp_path / "mine", train_labels_idx1_ubyte=None)
    with pytest.raises(ValueError, match="mine lacks train-labels-idx1-ubyte of"):
        gb.load_data_fashion_mnist(8, root=folder)


# Damaged files.

PACKED = gzip.compress(CONTENTS[TRAIN_IMAGES])
FLIPPED = bytearray(CONTENTS[TRAIN_IMAGES])
FLIPPED[5000] ^= 1
DAMAGED = {
    "truncated gzip": PACKED[: len(PACKED) // 2],
    "damaged gzip": PACKED[:100] + b"damaged!" + PACKED[108:],
    "flipped byte": gzip.compress(bytes(FLIPPED)),
    "wrong magic number": gzip.compress(b"\0\0\0\1" + CONTENTS[TRAIN_IMAGES][4:]),
    "too short": gzip.compress(CONTENTS[TRAIN_IMAGES][:-1]),
    "not compressed": CONTENTS[TRAIN_IMAGES],
    "empty": b"",
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED.keys())
@pytest.mark.parametrize("place", ["root", "D2LUTIL_DATA"])
def test_damaged_file_of_the_user_is_named_and_kept(
    tiny, tmp_path, monkeypatch, place, damaged
):
    folder = fill(tmp_path / "mine", train_images_idx3_ubyte=damaged)
    before = content_of(folder)
    if place == "D2LUTIL_DATA":
        monkeypatch.setenv("D2LUTIL_DATA", str(folder))
    with pytest.raises(ValueError, match=rf"mine/{TRAIN_IMAGES}\.gz is damaged"):
        gb.load_data_fashion_mnist(8, **{"root": folder} if place == "root" else {})
    assert content_of(folder) == before


@pytest.mark.parametrize("content", [b"", bytes(FLIPPED), CONTENTS[TRAIN_IMAGES][1:]])
def test_damaged_file_that_is_not_compressed_is_named(tiny, tmp_path, content):
    folder = fill_decompressed(tmp_path / "mine", CONTENTS | {TRAIN_IMAGES: content})
    with pytest.raises(ValueError, match=f"mine/{TRAIN_IMAGES} is damaged"):
        gb.load_data_fashion_mnist(8, root=folder)


def test_no_more_is_decompressed_than_the_file_can_hold(tiny, tmp_path):
    bomb = gzip.compress(bytes(64 * 2**20))
    folder = fill(tmp_path / "mine", train_images_idx3_ubyte=bomb)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="is damaged"):
            gb.load_data_fashion_mnist(8, root=folder)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_file_of_the_book_with_a_wrong_size_is_an_error_when_it_is_loaded(tiny):
    path = files.BOOK_FOLDER / TRAIN_IMAGES
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"book/{TRAIN_IMAGES} is damaged"):
        gb.load_data_fashion_mnist(8)
    path.unlink()
    with pytest.raises(ValueError, match=f"book/{TRAIN_IMAGES} is missing"):
        gb.load_data_fashion_mnist(8)


# What is printed.


@pytest.fixture(autouse=True)
def no_lesson():
    yield
    gb.lesson()


# What `gb.lesson` was told, scale, size that a cell asks for; images that are used.
USED = [
    ({}, "smoke", 28, "500 + 250 images of 28 x 28"),
    ({}, "smoke", 224, "30 + 250 images of 224 x 224"),
    ({}, "lesson", 96, "20410 + 2000 images of 96 x 96"),
    ({}, "lesson", 224, "3750 + 2000 images of 224 x 224"),
    ({"pixels": 72}, "lesson", 224, "36290 + 2000 images of 72 x 72"),
    ({"pixels": 72}, "lesson", (96, 60), "43550 + 2000 images of 60 x 72"),
    ({"pixels": 72, "num_train": 60_000}, "lesson", 224, "60000 + 10000 images of 72"),
    ({"pixels": 72, "num_train": 60_000}, "smoke", 224, "500 + 250 images of 72 x 72"),
    ({"num_train": 24_009}, "lesson", 28, "24000 + 2000 images of 28 x 28"),
    ({"num_train": 24_000}, "lesson", 224, "24000 + 2000 images of 224 x 224"),
    ({"num_train": 100}, "smoke", 28, "100 + 250 images of 28 x 28"),
    ({"pixels": 14}, "lesson", None, "60000 + 10000 images of 14 x 14"),
]


@pytest.mark.parametrize(("told", "scale", "resize", "used"), USED)
def test_scale_and_lesson_decide_which_images_are_used(
    monkeypatch, capsys, told, scale, resize, used
):
    monkeypatch.setenv("D2LUTIL_SCALE", scale)
    gb.lesson(**told)
    loaders = gb.load_data_fashion_mnist(8, resize)
    line = capsys.readouterr().out
    assert line.startswith(f"Fashion-MNIST: {scale} scale, {used}")

    numbers = " + ".join(str(len(loader.labels)) for loader in loaders)
    height, width = next(iter(loaders[1]))[0].shape[2:]
    assert f"{numbers} images of {height} x {width}".startswith(used)


def test_the_difference_from_the_book_is_said(monkeypatch, capsys):
    monkeypatch.setenv("D2LUTIL_SCALE", "smoke")
    gb.lesson(num_train=400, pixels=72)
    gb.load_data_fashion_mnist(8, resize=224)
    assert capsys.readouterr().out == (
        "Fashion-MNIST: smoke scale, 400 + 250 images of 72 x 72 pixels "
        "(asked: 60000 + 10000 of 224 x 224); "
        "D2LUTIL_SCALE=full gives the book's run\n"
    )


@pytest.mark.parametrize(
    ("told", "resize"),
    [
        ({}, None),
        ({}, (32, 40)),
        ({"pixels": 72}, 48),
        ({"num_train": 60_000, "pixels": 72}, 72),
    ],
)
def test_lesson_that_is_the_run_of_the_book_says_nothing(
    monkeypatch, capsys, told, resize
):
    monkeypatch.setenv("D2LUTIL_SCALE", "lesson")
    gb.lesson(**told)
    train_iter, test_iter = gb.load_data_fashion_mnist(8, resize)
    assert (len(train_iter.labels), len(test_iter.labels)) == (60_000, 10_000)
    assert capsys.readouterr().out == ""


def test_lesson_changes_nothing_at_scale_full(monkeypatch, capsys):
    monkeypatch.setenv("D2LUTIL_SCALE", "full")
    gb.lesson(num_train=100, pixels=32)
    train_iter, test_iter = gb.load_data_fashion_mnist(8, resize=96)
    assert (len(train_iter.labels), len(test_iter.labels)) == (60_000, 10_000)
    assert next(iter(test_iter))[0].shape == (8, 1, 96, 96)
    assert capsys.readouterr().out == ""


def test_lesson_without_arguments_takes_back_what_was_said(monkeypatch):
    monkeypatch.setenv("D2LUTIL_SCALE", "lesson")
    gb.lesson(num_train=100, pixels=32)
    gb.lesson()
    train_iter, _ = gb.load_data_fashion_mnist(8)
    assert len(train_iter.labels) == 60_000


@pytest.mark.parametrize("number", [0, -5, 1.5, "72", True])
@pytest.mark.parametrize("argument", ["num_train", "pixels"])
def test_lesson_takes_whole_numbers_only(argument, number):
    with pytest.raises(ValueError, match=f"^{argument} is {number!r}; give a whole"):
        gb.lesson(**{argument: number})


@pytest.mark.parametrize("number", [9, 60_001])
def test_lesson_takes_no_more_images_than_there_are(monkeypatch, number):
    with pytest.raises(ValueError, match=rf"num_train is {number}; give 10 to 60000\."):
        gb.lesson(num_train=number)
    monkeypatch.setenv("D2LUTIL_SCALE", "lesson")
    assert len(gb.load_data_fashion_mnist(8)[0].labels) == 60_000


def test_scale_that_a_cell_sets_holds_from_there_on(monkeypatch):
    from IPython.core.interactiveshell import InteractiveShell

    monkeypatch.setenv("D2LUTIL_SCALE", "lesson")
    gb.lesson(num_train=100)
    InteractiveShell().run_line_magic("env", "D2LUTIL_SCALE=full")
    assert len(gb.load_data_fashion_mnist(8)[0].labels) == 60_000


def test_the_run_of_the_book_says_nothing(monkeypatch, capsys):
    monkeypatch.setenv("D2LUTIL_SCALE", "full")
    train_iter, test_iter = gb.load_data_fashion_mnist(8, resize=224)
    assert capsys.readouterr().out == ""
    assert (len(train_iter.labels), len(test_iter.labels)) == (60_000, 10_000)
    assert next(iter(test_iter))[0].shape == (8, 1, 224, 224)


def test_images_of_the_whole_dataset_stay_on_disk(monkeypatch):
    monkeypatch.setenv("D2LUTIL_SCALE", "full")
    train_iter, _ = gb.load_data_fashion_mnist(8)
    assert isinstance(train_iter.images, np.memmap)
    assert not train_iter.images.flags.writeable


# The loader.


@pytest.mark.parametrize("argument", ["batch_size", "resize"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "8", True])
def test_only_positive_whole_numbers_are_accepted(argument, value):
    with pytest.raises(ValueError, match=f"{argument} is {value!r}"):
        gb.load_data_fashion_mnist(**{"batch_size": 8} | {argument: value})


def test_batch_size_none_is_an_error():
    with pytest.raises(ValueError, match="batch_size is None"):
        gb.load_data_fashion_mnist(None)


@pytest.mark.parametrize("scale", ["full", "lesson", "smoke"])
def test_every_scale_gives_each_class_its_share(monkeypatch, scale):
    monkeypatch.setenv("D2LUTIL_SCALE", scale)
    for data_iter in gb.load_data_fashion_mnist(8):
        shares = np.bincount(data_iter.labels)
        assert len(shares) == 10
        assert len(set(shares)) == 1


@pytest.mark.parametrize("resize", [None, 72, 96, 224])
def test_batches_equal_those_of_gluon(resize):
    _, test_iter = gb.load_data_fashion_mnist(8)
    images, labels = test_iter.images[:20], test_iter.labels[:20]
    steps = [] if resize is None else [transforms.Resize(resize)]
    transform = transforms.Compose([*steps, transforms.ToTensor()])
    dataset = ArrayDataset(mx.nd.array(images, dtype="uint8"), labels)
    expected = list(DataLoader(dataset.transform_first(transform), batch_size=8))
    loader = gb.BatchLoader(images, labels, 8, resize)
    batches = list(loader)
    assert len(loader) == len(batches) == len(expected) == 3
    for (X, y), (X_gluon, y_gluon) in zip(batches, expected, strict=True):
        assert (X.dtype, X.shape) == (X_gluon.dtype, X_gluon.shape)
        assert (y.dtype, y.shape) == (y_gluon.dtype, y_gluon.shape)
        assert np.array_equal(X.asnumpy(), X_gluon.asnumpy())
        assert np.array_equal(y.asnumpy(), y_gluon.asnumpy())


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (
            np.zeros((2, 28, 28, 1)),
            [0, 1],
            r"images are float64 \(2, 28, 28, 1\); give",
        ),
        (np.zeros((2, 28, 28), np.uint8), [0, 1], r"images are uint8 \(2, 28, 28\)"),
        (np.zeros((2, 0, 28, 1), np.uint8), [0, 1], "none of them 0"),
        (np.zeros((2, 28, 28, 1), np.uint8), [0], "give one label for each of the 2"),
    ],
)
def test_what_is_not_a_set_of_images_is_an_error(images, labels, sentence):
    with pytest.raises(ValueError, match=sentence):
        gb.BatchLoader(images, np.array(labels), batch_size=2, resize=72)


def test_shuffling_follows_the_seed(monkeypatch):
    monkeypatch.setenv("D2LUTIL_SCALE", "smoke")
    train_iter, test_iter = gb.load_data_fashion_mnist(500)

    def order(data_iter: gb.BatchLoader, seed: int) -> list[float]:
        np.random.seed(seed)
        return next(iter(data_iter))[1].asnumpy().tolist()

    assert order(train_iter, 1) == order(train_iter, 1)
    assert order(train_iter, 1) != order(train_iter, 2)
    assert order(test_iter, 1) == order(test_iter, 2)


def test_each_pass_has_a_new_order_of_all_images(monkeypatch):
    monkeypatch.setenv("D2LUTIL_SCALE", "smoke")
    train_iter, _ = gb.load_data_fashion_mnist(500)
    first, second = (next(iter(train_iter))[1].asnumpy() for _ in range(2))
    assert not np.array_equal(first, second)
    assert np.array_equal(np.sort(first), np.sort(second))


def test_labels_have_names():
    labels = np.array([0, 9], dtype=np.int32)
    assert gb.get_fashion_mnist_labels(labels) == ["t-shirt", "ankle boot"]
