"""Collect what the figure of training curves shows, `explorables/curves.json`."""

from typing import Any

from mxnet import gluon

from d2lutil.cost import network_cost
from d2lutil.history import History, recorded_history
from d2lutil.pages.sections import load_section

COMPARISON = "13-comparison"
# Where a section trains several networks, the one whose history is noted.
NETWORKS = {"10-batch-norm": "concise_net"}


def curves() -> dict[str, list[dict[str, Any]]]:
    """Return the recorded trainings of all networks, with what an image costs in each.

    The comparison says which networks there are, and of which scales it tells; its own
    controls were trained as lessons only.

    Returns:
        The trainings under "runs", in the order of the book: network, scale, images,
        the measurements of each epoch, and the multiply-adds of one image.

    Raises:
        ValueError: A training is not recorded.
    """
    comparison = load_section(COMPARISON)
    runs = []

    for network, section in comparison.recorded.items():
        net = getattr(load_section(section), NETWORKS.get(section, "net"))
        for scale in comparison.scales:
            history = recorded_history(section, scale)
            runs.append(_run(network, scale, net, history))

    for network, ratio in comparison.controls.items():
        net = comparison.narrow_resnet(ratio)
        history = recorded_history(COMPARISON, "lesson", network)
        runs.append(_run(network, "lesson", net, history))
    return {"runs": runs}


def _run(
    network: str, scale: str, net: gluon.Block, history: History
) -> dict[str, Any]:
    images = history.images
    assert images, f"the images of {network}, {scale} are noted"
    cost = network_cost(net, (1, 1, images.height, images.width))

    return {
        "network": network,
        "scale": scale,
        "images": {
            "num_train": images.num_train,
            "height": images.height,
            "width": images.width,
        },
        "multiply_adds": cost.multiply_adds,
        "loss": history.loss,
        "train_acc": history.train_acc,
        "test_acc": history.test_acc,
    }
