"""Store feature maps of a section's trained network, for the figure 看见网络.

The cells of the section are executed up to its own training, as a recording does it, so
that the environment decides as there: D2LUTIL_SCALE how it is trained, and
D2LUTIL_CHECKPOINT where a training lies that need not be repeated. What it was saved
with (compilation, data type, threads, processor) has to be the same.

A network is stored in a file of its own, features.alexnet.json beside the module, under
its name. Sprites are PNG files of 8 bits in base64: for each layer and image one, in
which the maps of the stored channels lie side by side. A channel has one scale for all
images, and all classes have the same: 0 and less is black, the maximum is white.
"""

import base64
import io
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from types import ModuleType
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from matplotlib import pyplot as plt
from mxnet import gluon, nd

import d2lutil as gb
from d2lutil.data.loader import BatchLoader
from d2lutil.history import History
from d2lutil.pages import sections
from d2lutil.settings import run_scale

# The first test image of each of these classes, in this order.
CLASSES = (0, 1, 6, 7, 8, 9)
NUM_CLASSES = 10
NUM_CHANNELS = 10

# For each layer whose output is shown, the blocks on the way to it, that one the last.
Ways = dict[str, list[gluon.Block]]


class Responses(NamedTuple):
    """What a network answers.

    Attributes:
        maps: For each layer, its output (num_images, num_channels, height, width).
        scores: Scores (num_images, num_classes).
    """

    maps: list[np.ndarray]
    scores: np.ndarray


class Trained(NamedTuple):
    """What a section trained, and what its network answers before and after.

    Attributes:
        images: The test images, uint8 (num_images, 28, 28).
        indices: Their positions among the test images.
        pixels: Edge length that they were enlarged to.
        ways: The layers.
        before: What the network answers with its initial parameters.
        after: What it answers after the training.
        history: What the training measured.
    """

    images: np.ndarray
    indices: list[int]
    pixels: int
    ways: Ways
    before: Responses
    after: Responses
    history: History


def alexnet_ways(net: gluon.nn.Sequential) -> Ways:
    """Return the five convolutions of AlexNet."""
    blocks = list(net)
    positions = enumerate((0, 2, 4, 5, 6), start=1)
    return {f"卷积层 {i}": blocks[: position + 1] for i, position in positions}


def nin_ways(net: gluon.nn.Sequential) -> Ways:
    """Return the four blocks of NiN; the channels of the last are the classes."""
    blocks = list(net)
    positions = enumerate((0, 2, 4, 7), start=1)
    return {f"NiN 块 {i}": blocks[: position + 1] for i, position in positions}


def googlenet_ways(net: gluon.nn.Sequential) -> Ways:
    """Return the first convolution, the paths of the first block, and later blocks."""
    b1, b2, b3, b4, b5 = map(list, list(net)[:5])
    stem, block = [*b1, *b2], b3[0]
    return {
        "7×7 卷积层": b1[:1],
        "线路 1": [*stem, block.p1_1],
        "线路 2": [*stem, block.p2_1, block.p2_2],
        "线路 3": [*stem, block.p3_1, block.p3_2],
        "线路 4": [*stem, block.p4_1, block.p4_2],
        "第 2 块": [*stem, *b3[:2]],
        "第 7 块": [*stem, *b3, *b4[:5]],
        "第 9 块": [*stem, *b3, *b4, *b5[:2]],
    }


class Network(NamedTuple):
    """A network that the figure shows.

    Attributes:
        name: Its name in the figure.
        ways: Returns the layers that are shown.
        with_untrained: Whether it is shown before the training, too: section 09 leaves
            this comparison to an exercise.
    """

    name: str
    ways: Callable[[gluon.nn.Sequential], Ways]
    with_untrained: bool


NETWORKS = {
    "06-alexnet": Network("alexnet", alexnet_ways, True),
    "08-nin": Network("nin", nin_ways, True),
    "09-googlenet": Network("googlenet", googlenet_ways, False),
}


def section_features(section: str) -> dict[str, Any]:
    """Train the network of a section, or take it from a checkpoint; return its maps.

    Args:
        section: Name of the notebook without its ending: "08-nin".
    """
    network = NETWORKS[section]
    trained = train_section(section, network.ways)
    return {network.name: features(trained, network.with_untrained)}


def train_section(
    section: str, ways_of: Callable[[gluon.nn.Sequential], Ways]
) -> Trained:
    """Execute a section up to its training, and see the network before and after."""
    module = ModuleType(section)
    *before, training = _cells_to_training(section)
    noted: list[Trained] = []
    train_ch5 = gb.train_ch5

    def watched(net, train_iter, test_iter, batch_size, trainer, ctx, num_epochs):
        indices = [int(np.flatnonzero(test_iter.labels == k)[0]) for k in CLASSES]
        images, labels = test_iter.images[indices], test_iter.labels[indices]
        X, _ = next(iter(BatchLoader(images, labels, len(indices), test_iter.resize)))
        X, ways = X.as_in_context(ctx), ways_of(net)

        # This run also draws the initial parameters, as that of a checkpoint does.
        before = _responses(net, ways, X)
        history = train_ch5(
            net, train_iter, test_iter, batch_size, trainer, ctx, num_epochs
        )
        after = _responses(net, ways, X)
        seen = images[..., 0], indices, X.shape[2]
        noted.append(Trained(*seen, ways, before, after, history))
        return history

    # Figures of the section are drawn, but not shown.
    with redirect_stdout(io.StringIO()), mock.patch.object(plt, "show"):
        for cell in before:
            exec(sections.source(cell), module.__dict__)
            plt.close("all")
        with mock.patch.object(gb, "train_ch5", watched):
            exec(sections.source(training), module.__dict__)
    return noted[-1]


def features(trained: Trained, with_untrained: bool) -> dict[str, Any]:
    """Return what is stored of a network.

    Args:
        trained: What was trained.
        with_untrained: Whether its maps before the training are stored, too.
    """
    channels = [choose_channels(maps) for maps in trained.after.maps]
    ways = trained.ways.items()
    stored = {
        "scale": run_scale().name,
        "pixels": trained.pixels,
        "testAcc": round(trained.history.test_acc[-1], 3),
        "images": [
            {"index": index, "label": label, "png": png(image)}
            for index, label, image in zip(
                trained.indices, CLASSES, trained.images, strict=True
            )
        ],
        "layers": [
            {"name": name, "shape": maps.shape[1:], "channels": chosen}
            | window(shapes(way), trained.pixels)
            for (name, way), maps, chosen in zip(
                ways, trained.after.maps, channels, strict=True
            )
        ],
        "trained": _stored(trained.after, channels),
    }
    if with_untrained:
        stored["untrained"] = _stored(trained.before, channels)
    return stored


def choose_channels(maps: np.ndarray) -> list[int]:
    """Return the channels that are shown: of ten groups, each the most changing one.

    Neighbours form a group. The change is the standard deviation over all images and
    positions; that of a channel that answers nothing is 0.

    Args:
        maps: Output of a layer (num_images, num_channels, height, width).
    """
    changes = maps.std(axis=(0, 2, 3))
    groups = np.array_split(np.arange(len(changes)), NUM_CHANNELS)
    return [int(group[changes[group].argmax()]) for group in groups]


def shapes(way: list[gluon.Block]) -> Iterator[tuple[int, int, int]]:
    """Yield (kernel, strides, padding) of each layer with a window, on the widest way.

    Args:
        way: Blocks that follow each other.
    """
    for block in way:
        settings = getattr(block, "_kwargs", {})
        if "kernel" in settings:
            kernel, strides, padding = (
                settings[name][0] for name in ("kernel", "stride", "pad")
            )
            yield kernel, strides, padding
        elif hasattr(block, "p3_2"):  # An Inception block: its path of 5 x 5.
            yield from shapes([block.p3_1, block.p3_2])
        else:
            yield from shapes(list(block._children.values()))


def window(layers: Iterable[tuple[int, int, int]], pixels: int) -> dict[str, int]:
    """Return what a cell of the last layer sees of the image.

    Args:
        layers: (kernel, strides, padding) of the layers up to it.
        pixels: Edge length of the image.

    Returns:
        The first row that the first cell sees, above 0 in the padding; how many rows
        further the next cell begins; how many rows a cell sees; and the row at which
        the image ends for this layer: where a stride does not fit, a few are unused.

    Example:
        >>> window([(11, 4, 0), (3, 2, 0), (5, 1, 2)], pixels=72)
        {'start': -16, 'strides': 8, 'field': 51, 'end': 67}
    """
    start, step, field = 0, 1, 1
    edge = end = pixels
    for kernel, strides, padding in layers:
        field += (kernel - 1) * step
        start -= padding * step
        step *= strides
        edge = (edge + 2 * padding - kernel) // strides + 1
        end = min(end, start + (edge - 1) * step + field)
    return {"start": start, "strides": step, "field": field, "end": end}


def png(levels: np.ndarray) -> str:
    """Return a picture of grey levels, uint8 (height, width), as PNG in base64."""
    height, width = levels.shape
    # A 0 before each row says that its numbers are stored as they are.
    rows = np.insert(levels, 0, 0, axis=1).tobytes()
    header = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    content = b"".join(
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + content).decode()


def _cells_to_training(section: str) -> list[sections.Cell]:
    """Return the code cells of a section up to the one that trains its network."""
    cells = sections.code_cells(sections.read(section))
    trains = [
        not sections.is_added(cell) and "gb.train_ch5" in sections.source(cell)
        for cell in cells
    ]
    return cells[: trains.index(True) + 1]


def _responses(net: gluon.Block, ways: Ways, X: nd.NDArray) -> Responses:
    """Return what a network answers to images (num_images, 1, height, width)."""
    outputs: dict[str, nd.NDArray] = {}
    handles = [
        way[-1].register_forward_hook(
            lambda block, inputs, output, name=name: outputs.update({name: output})
        )
        for name, way in ways.items()
    ]
    scores = net(X)
    for handle in handles:
        handle.detach()
    return Responses([outputs[name].asnumpy() for name in ways], scores.asnumpy())


def _stored(responses: Responses, channels: list[list[int]]) -> dict[str, Any]:
    """Return what is stored of a network's answers, for some channels of each layer."""
    return {
        "scores": _rounded(responses.scores),
        "layers": [
            _stored_layer(maps[:, chosen], is_of_classes=maps.shape[1] == NUM_CLASSES)
            for maps, chosen in zip(responses.maps, channels, strict=True)
        ],
    }


def _stored_layer(maps: np.ndarray, is_of_classes: bool) -> dict[str, Any]:
    """Return the sprites of a layer, and each map's maximum and where it is.

    Args:
        maps: Maps (num_images, num_channels, height, width).
        is_of_classes: Whether the channels are compared with each other, as those of
            the classes are, and have one scale.
    """
    strongest = maps.max(axis=(2, 3))
    most = np.maximum(strongest.max(axis=0), 0)
    if is_of_classes:
        most[:] = most.max()
    scale = 1 / np.where(most > 0, most, np.inf)
    levels = np.round(255 * np.clip(maps * scale[:, None, None], 0, 1))

    return {
        "maps": [png(np.hstack(image)) for image in levels.astype(np.uint8)],
        "strongest": _rounded(strongest),
        # Counted row by row.
        "at": maps.reshape(*maps.shape[:2], -1).argmax(axis=2).tolist(),
    }


def _rounded(numbers: np.ndarray) -> list[list[float]]:
    """Return a table of numbers with four digits each."""
    return [[float(f"{x:.4g}") for x in row] for row in numbers]
