"""Protects: the data are found, are right, and are the numbers that gluon would give.

The sources hold a tiny stand-in for Fashion-MNIST, told apart by its 20 images; the
mirrors are on this machine.
"""

import gzip
import hashlib
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon.data import ArrayDataset, DataLoader
from mxnet.gluon.data.vision import transforms

import d2lutil as gb
from d2lutil import fashion_mnist

NUM_IMAGES = 20
SAMPLE_SIZE = 24_000
TRAIN_IMAGES = "train-images-idx3-ubyte"


def idx_images(num_images: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (num_images, 28, 28), np.uint8)
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


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let only the sample and what a test sets up be found; use the full scale."""
    hashes = {name: hashlib.sha256(c).hexdigest() for name, c in CONTENTS.items()}
    monkeypatch.setattr(fashion_mnist, "SHA256", hashes)
    monkeypatch.setattr(fashion_mnist, "DEFAULT_ROOT", str(tmp_path / "cache"))
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setattr(fashion_mnist, "MIRRORS", [])
    monkeypatch.setattr(fashion_mnist, "TIMEOUT", (0.5, 0.5))
    monkeypatch.setenv("D2LUTIL_SCALE", "full")
    monkeypatch.delenv("D2LUTIL_DATA", raising=False)


def fill(folder: Path, **changed: bytes | None) -> Path:
    """Write the four files; `changed` holds other bytes, or None for no file."""
    folder.mkdir()
    for name, content in CONTENTS.items():
        packed = changed.get(name.replace("-", "_"), gzip.compress(content))
        if packed is not None:
            (folder / f"{name}.gz").write_bytes(packed)
    return folder


def num_train_images(**arguments: object) -> int:
    train_iter, _ = fashion_mnist.load_data_fashion_mnist(
        8, root=fashion_mnist.DEFAULT_ROOT, **arguments
    )
    return len(train_iter.labels)


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Mirror(ThreadingHTTPServer):
    """A server on this machine that answers as `behaviour` says."""

    def __init__(self, behaviour: str) -> None:
        super().__init__(("127.0.0.1", 0), MirrorHandler)
        self.behaviour = behaviour
        self.released = threading.Event()
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class MirrorHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        mirror = self.server
        mirror.requests.append(self.path)
        packed = gzip.compress(CONTENTS[self.path[1:].removesuffix(".gz")])
        if mirror.behaviour == "404":
            return self.send_error(404)
        if mirror.behaviour == "hangs":
            mirror.released.wait(10)
            return None
        if mirror.behaviour == "wrong bytes":
            packed = gzip.compress(b"something else")
        self.send_response(200)
        self.send_header("Content-Length", str(len(packed)))
        self.end_headers()
        half = mirror.behaviour == "breaks off"
        self.wfile.write(packed[: len(packed) // 2] if half else packed)

    def log_message(self, *args: object) -> None:
        """Keep the server silent."""


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch):
    """Start mirrors, in the order in which they are tried."""
    mirrors = []

    def start(*behaviours: str) -> list[Mirror]:
        for behaviour in behaviours:
            mirrors.append(Mirror(behaviour))
            threading.Thread(target=mirrors[-1].serve_forever, daemon=True).start()
        monkeypatch.setattr(fashion_mnist, "MIRRORS", [m.url for m in mirrors])
        return mirrors

    yield start
    for mirror in mirrors:
        mirror.released.set()
        mirror.shutdown()
        mirror.server_close()


# The order of the sources.


def test_default_root_is_that_of_gluonbook():
    defaults = gb.load_data_fashion_mnist.__defaults__
    assert defaults == (None, str(Path("~/.mxnet/datasets/fashion-mnist")))


def test_sources_are_tried_in_order(tmp_path, monkeypatch, serve):
    # Each source is added in front of the last one, and found; the last are counted
    # by what they lack.
    assert num_train_images() == SAMPLE_SIZE
    mirror = serve("answers")[0]
    assert num_train_images() == NUM_IMAGES
    assert len(mirror.requests) == 4
    for path in (tmp_path / "cache").iterdir():
        path.unlink()
    fill(tmp_path / "debian")
    assert num_train_images() == NUM_IMAGES
    damaged = gzip.compress(b"")
    fill(tmp_path / "home", train_images_idx3_ubyte=damaged)
    monkeypatch.setattr(fashion_mnist, "DEFAULT_ROOT", str(tmp_path / "home"))
    assert num_train_images() == NUM_IMAGES
    fill(tmp_path / "environment", t10k_images_idx3_ubyte=damaged)
    monkeypatch.setenv("D2LUTIL_DATA", str(tmp_path / "environment"))
    with pytest.raises(ValueError, match="environment"):
        num_train_images()
    root = fill(tmp_path / "root")
    train_iter, _ = gb.load_data_fashion_mnist(8, root=root)
    assert len(train_iter.labels) == NUM_IMAGES
    assert len(mirror.requests) == 4


def test_files_may_be_decompressed(tmp_path, monkeypatch):
    folder = tmp_path / "raw"
    folder.mkdir()
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
    monkeypatch.setenv("D2LUTIL_DATA", str(folder))
    assert num_train_images() == NUM_IMAGES


def test_home_folder_may_be_written_as_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    fill(tmp_path / "mine")
    train_iter, _ = gb.load_data_fashion_mnist(8, root="~/mine")
    assert len(train_iter.labels) == NUM_IMAGES


def test_lesson_scale_does_not_wait_for_a_network(monkeypatch, serve, capsys):
    monkeypatch.setenv("D2LUTIL_SCALE", "lesson")
    mirror = serve("hangs")[0]
    assert num_train_images() == SAMPLE_SIZE
    assert mirror.requests == []
    assert "sample data" in capsys.readouterr().out


# Damaged files.

PACKED = gzip.compress(CONTENTS[TRAIN_IMAGES])
FLIPPED = bytearray(CONTENTS[TRAIN_IMAGES])
FLIPPED[5000] ^= 1
DAMAGED = {
    "truncated gzip": PACKED[: len(PACKED) // 2],
    "damaged gzip": PACKED[:100] + b"damaged!" + PACKED[108:],
    "flipped byte": gzip.compress(bytes(FLIPPED)),
    "wrong magic number": gzip.compress(b"\0\0\0\1" + CONTENTS[TRAIN_IMAGES][4:]),
    "empty": b"",
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED.keys())
@pytest.mark.parametrize("place", ["root", "D2LUTIL_DATA"])
def test_damaged_file_of_the_user_is_named_and_kept(
    tmp_path, monkeypatch, serve, place, damaged
):
    mirror = serve("answers")[0]
    folder = fill(tmp_path / "mine", train_images_idx3_ubyte=damaged)
    before = content_of(folder)
    if place == "D2LUTIL_DATA":
        monkeypatch.setenv("D2LUTIL_DATA", str(folder))
    root = folder if place == "root" else fashion_mnist.DEFAULT_ROOT
    with pytest.raises(ValueError, match=rf"mine/{TRAIN_IMAGES}\.gz is damaged"):
        gb.load_data_fashion_mnist(8, root=root)
    assert content_of(folder) == before
    assert mirror.requests == []


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_file_in_the_cache_is_named_and_the_next_source_used(
    tmp_path, capsys, damaged
):
    folder = fill(tmp_path / "cache", train_images_idx3_ubyte=damaged)
    before = content_of(folder)
    fill(tmp_path / "debian")
    assert num_train_images() == NUM_IMAGES
    assert f"cache/{TRAIN_IMAGES}.gz is damaged" in capsys.readouterr().out
    assert content_of(folder) == before


def test_damaged_file_in_the_cache_is_downloaded_anew(tmp_path, serve):
    mirror = serve("answers")[0]
    folder = fill(tmp_path / "cache", train_images_idx3_ubyte=b"")
    assert num_train_images() == NUM_IMAGES
    assert mirror.requests == [f"/{TRAIN_IMAGES}.gz"]
    assert (
        gzip.decompress(content_of(folder)[f"{TRAIN_IMAGES}.gz"])
        == (CONTENTS[TRAIN_IMAGES])
    )


def test_damaged_file_in_the_cache_and_no_network_mean_the_sample(tmp_path, serve):
    serve("404")
    folder = fill(tmp_path / "cache", train_images_idx3_ubyte=b"")
    before = content_of(folder)
    assert num_train_images() == SAMPLE_SIZE
    assert content_of(folder) == before


def test_cache_that_cannot_be_read_is_not_used(tmp_path, monkeypatch, capsys):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setenv("D2LUTIL_SCALE", "lesson")
    fill(tmp_path / "cache")
    # As another user: root may read everything.
    monkeypatch.setattr(fashion_mnist, "_read_folder", refuse)
    assert num_train_images() == SAMPLE_SIZE
    assert "cache is not used" in capsys.readouterr().out


def test_folder_with_only_some_files_is_not_used(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("D2LUTIL_SCALE", "lesson")
    folder = fill(tmp_path / "mine", train_labels_idx1_ubyte=None)
    monkeypatch.setenv("D2LUTIL_DATA", str(folder))
    assert num_train_images() == SAMPLE_SIZE
    said = capsys.readouterr().out
    assert "mine is not used as it lacks train-labels-idx1-ubyte" in said


def test_environment_without_the_files_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "parent").mkdir()
    fill(tmp_path / "parent" / "folder")
    for value in ("nowhere", str(tmp_path / "parent")):
        monkeypatch.setenv("D2LUTIL_DATA", value)
        with pytest.raises(
            ValueError, match=f"D2LUTIL_DATA is '{value}'.*not a folder"
        ):
            num_train_images()


# Downloads.


def test_root_that_does_not_exist_is_where_the_data_go(tmp_path, serve):
    serve("answers")
    root = tmp_path / "new" / "folder"
    train_iter, _ = gb.load_data_fashion_mnist(8, root=root)
    assert len(train_iter.labels) == NUM_IMAGES
    assert sorted(content_of(root)) == sorted(f"{name}.gz" for name in CONTENTS)


def test_only_missing_files_are_downloaded(tmp_path, serve):
    mirror = serve("answers")[0]
    root = fill(tmp_path / "mine", t10k_labels_idx1_ubyte=None)
    train_iter, _ = gb.load_data_fashion_mnist(8, root=root)
    assert len(train_iter.labels) == NUM_IMAGES
    assert mirror.requests == ["/t10k-labels-idx1-ubyte.gz"]


@pytest.mark.parametrize("behaviour", ["404", "hangs", "wrong bytes", "breaks off"])
def test_after_a_bad_mirror_the_next_is_tried(tmp_path, serve, behaviour):
    bad, good = serve(behaviour, "answers")
    assert num_train_images() == NUM_IMAGES
    assert len(bad.requests) == len(good.requests) == 4


@pytest.mark.parametrize("behaviour", ["404", "hangs", "wrong bytes", "breaks off"])
def test_without_a_good_mirror_the_sample_is_used(tmp_path, serve, capsys, behaviour):
    serve(behaviour)
    assert num_train_images() == SAMPLE_SIZE
    assert list((tmp_path / "cache").iterdir()) == []
    said = capsys.readouterr().out
    assert "no mirror delivered" in said
    assert "sample data" in said


def test_without_a_network_the_sample_is_used(monkeypatch, capsys, serve):
    mirror = serve("answers")[0]
    mirror.shutdown()
    mirror.server_close()
    assert num_train_images() == SAMPLE_SIZE
    assert "sample data" in capsys.readouterr().out


def test_cache_that_cannot_be_written_means_the_sample(tmp_path, serve, capsys):
    mirror = serve("answers")[0]
    # Below a file no folder can be made, not even by root.
    (tmp_path / "cache").write_text("a file")
    root = tmp_path / "cache" / "folder"
    train_iter, _ = gb.load_data_fashion_mnist(8, root=root)
    assert len(train_iter.labels) == SAMPLE_SIZE
    assert mirror.requests == []
    assert f"no download into {root}" in capsys.readouterr().out


# What is printed.


def test_the_difference_from_the_book_is_said(monkeypatch, capsys):
    monkeypatch.setenv("D2LUTIL_SCALE", "smoke")
    num_train_images(resize=224)
    assert capsys.readouterr().out == (
        "Fashion-MNIST: smoke scale, sample data, 500 + 250 images of 72 x 72 pixels "
        "(asked: 60000 + 10000 of 224 x 224); "
        "D2LUTIL_SCALE=full gives the book's run\n"
    )


def test_the_run_of_the_book_says_nothing(tmp_path, monkeypatch, capsys):
    fill(tmp_path / "cache")
    like_book = fashion_mnist.Scale("full", NUM_IMAGES, 10)
    monkeypatch.setattr(fashion_mnist, "FULL", like_book)
    monkeypatch.setattr(fashion_mnist, "current_scale", lambda: like_book)
    assert num_train_images(resize=224) == NUM_IMAGES
    assert capsys.readouterr().out == ""


# The loader.


@pytest.mark.parametrize("argument", ["batch_size", "resize"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "8", True])
def test_only_positive_whole_numbers_are_accepted(argument, value):
    with pytest.raises(ValueError, match=f"{argument} is {value!r}"):
        gb.load_data_fashion_mnist(**{"batch_size": 8} | {argument: value})


def test_batch_size_none_is_an_error():
    with pytest.raises(ValueError, match="batch_size is None"):
        gb.load_data_fashion_mnist(None)


@pytest.mark.parametrize("scale", ["lesson", "smoke"])
def test_sample_gives_each_class_its_share(monkeypatch, scale):
    monkeypatch.setenv("D2LUTIL_SCALE", scale)
    for data_iter in gb.load_data_fashion_mnist(8):
        shares = np.bincount(data_iter.labels)
        assert len(shares) == 10
        assert len(set(shares)) == 1


@pytest.mark.parametrize("resize", [None, 72, 96, 224])
def test_batches_equal_those_of_gluon(resize):
    data = fashion_mnist._read_sample()
    images, labels = data.test_images[:20], data.test_labels[:20]
    steps = [] if resize is None else [transforms.Resize(resize)]
    transform = transforms.Compose([*steps, transforms.ToTensor()])
    dataset = ArrayDataset(mx.nd.array(images, dtype="uint8"), labels)
    expected = list(DataLoader(dataset.transform_first(transform), batch_size=8))
    loader = fashion_mnist.BatchLoader(images, labels, 8, resize)
    batches = list(loader)
    assert len(loader) == len(batches) == len(expected) == 3
    for (X, y), (X_gluon, y_gluon) in zip(batches, expected, strict=True):
        assert (X.dtype, X.shape) == (X_gluon.dtype, X_gluon.shape)
        assert (y.dtype, y.shape) == (y_gluon.dtype, y_gluon.shape)
        assert np.array_equal(X.asnumpy(), X_gluon.asnumpy())
        assert np.array_equal(y.asnumpy(), y_gluon.asnumpy())


def test_shuffling_follows_the_seed(monkeypatch):
    monkeypatch.setenv("D2LUTIL_SCALE", "smoke")
    train_iter, test_iter = gb.load_data_fashion_mnist(500)

    def order(data_iter: fashion_mnist.BatchLoader, seed: int) -> list[float]:
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
