"""Helpers of the book, with the names of the historical `gluonbook` package.

A name is loaded when it is first used, so that `import d2lutil` is quick.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

# MXNet reads these settings while it loads, so this comes before all imports.  The
# environment of the HTML edition has no MXNet; it uses `d2lutil.pages` only.
if find_spec("mxnet"):
    from d2lutil.engine import runtime

    runtime.configure_threads()
    runtime.configure_memory()
    runtime.configure_plots()

_NAMES = {
    "d2lutil.basics": ["linreg", "sgd", "squared_loss"],
    "d2lutil.blocks": ["Residual", "corr2d", "resnet18"],
    "d2lutil.cost": ["network_cost"],
    "d2lutil.data.loader": ["BatchLoader"],
    "d2lutil.device": ["try_all_gpus", "try_gpu"],
    "d2lutil.fashion_mnist": ["get_fashion_mnist_labels", "load_data_fashion_mnist"],
    "d2lutil.history": ["recorded_history"],
    "d2lutil.pages.explorable": ["explorable"],
    "d2lutil.pages.sections": ["load_section"],
    "d2lutil.plotting": [
        "Benchmark",
        "plt",
        "semilogy",
        "set_figsize",
        "show",
        "show_fashion_mnist",
        "show_images",
        "use_svg_display",
    ],
    "d2lutil.settings": ["lesson", "run_scale"],
    "d2lutil.training": ["evaluate_accuracy", "train", "train_ch3", "train_ch5"],
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

# Names of gluonbook 0.8.10 that belong to chapters which are not part of this book.
_OTHER_CHAPTERS = {
    "recurrent networks": """data_iter_consecutive data_iter_random grad_clipping
        load_data_jay_lyrics load_data_time_machine predict_rnn predict_rnn_gluon
        RNNModel to_onehot train_and_predict_rnn train_and_predict_rnn_gluon""",
    "optimisation": """data_iter get_data_ch7 show_trace_2d train_2d train_ch7
        train_gluon_ch7""",
    "detection and segmentation": """VOC_CLASSES VOC_COLORMAP VOCSegDataset bbox_to_rect
        download_voc_pascal load_data_pikachu mkdir_if_not_exist read_voc_images
        show_bboxes
        voc_label_indices voc_rand_crop""",
    "language": """count_tokens download_imdb get_tokenized_imdb get_vocab_imdb
        predict_sentiment preprocess_imdb read_imdb""",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    """Load a public name, or say which chapter of gluonbook one belongs to."""
    if name in _MODULES:
        value = globals()[name] = getattr(import_module(_MODULES[name]), name)
        return value

    for chapter, names in _OTHER_CHAPTERS.items():
        if name in names.split():
            raise AttributeError(
                f"d2lutil has no {name!r}: it belongs to gluonbook's chapter on "
                f"{chapter}, which this book leaves out; "
                "`pip install gluonbook==0.8.10` has it."
            )

    raise AttributeError(f"module 'd2lutil' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
