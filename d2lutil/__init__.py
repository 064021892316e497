"""Helpers of the book, with the names of the historical `gluonbook` package."""

from d2lutil.runtime import use_physical_cores

# MXNet reads the number of threads while it loads, so this comes before all imports.
use_physical_cores()

from d2lutil.device import try_all_gpus, try_gpu  # noqa: E402
from d2lutil.fashion_mnist import (  # noqa: E402
    get_fashion_mnist_labels,
    load_data_fashion_mnist,
)

__all__ = [
    "get_fashion_mnist_labels",
    "load_data_fashion_mnist",
    "try_all_gpus",
    "try_gpu",
]
