"""Helpers of the book, with the names of the historical `gluonbook` package."""

from d2lutil.runtime import configure_memory, configure_threads

# MXNet reads these settings while it loads, so this comes before all imports.
configure_threads()
configure_memory()

from d2lutil.blocks import Residual, corr2d, resnet18  # noqa: E402
from d2lutil.counting import network_cost  # noqa: E402
from d2lutil.device import try_all_gpus, try_gpu  # noqa: E402
from d2lutil.fashion_mnist import (  # noqa: E402
    get_fashion_mnist_labels,
    load_data_fashion_mnist,
)
from d2lutil.plotting import (  # noqa: E402
    Benchmark,
    set_figsize,
    show_fashion_mnist,
    show_images,
    use_svg_display,
)
from d2lutil.sections import load_section, recorded_history  # noqa: E402
from d2lutil.training import evaluate_accuracy, train, train_ch5  # noqa: E402

__all__ = [
    "Benchmark",
    "Residual",
    "corr2d",
    "evaluate_accuracy",
    "get_fashion_mnist_labels",
    "load_data_fashion_mnist",
    "load_section",
    "network_cost",
    "recorded_history",
    "resnet18",
    "set_figsize",
    "show_fashion_mnist",
    "show_images",
    "train",
    "train_ch5",
    "try_all_gpus",
    "try_gpu",
    "use_svg_display",
]
