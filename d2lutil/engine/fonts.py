"""Chinese text in figures, where the machine has a font for it."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

# Matplotlib knows a file by the first font in it, which may be that of another region.
FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "PingFang HK",
    "Hiragino Sans GB",
    "Heiti TC",
    "Microsoft YaHei",
    "SimHei",
    "Arial Unicode MS",
    "Droid Sans Fallback",
)

NO_FONT = (
    "Matplotlib finds no font with Chinese characters and draws boxes; install one "
    "(Debian, Ubuntu: fonts-noto-cjk), then restart the kernel."
)
_FIRST_CJK = 0x2E80

_FONT_MANAGER = "matplotlib.font_manager"


def configure_fonts() -> None:
    """Let Matplotlib draw Chinese text: when it is loaded, or now if it is already.

    Other characters keep Matplotlib's own font.
    """
    if _FONT_MANAGER in sys.modules:
        add_chinese_font()
    elif not any(isinstance(finder, _WhenLoaded) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WhenLoaded())


class _WhenLoaded(MetaPathFinder):
    """Adds the font as soon as Matplotlib has listed the machine's fonts."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _FONT_MANAGER:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec and spec.loader:
            load = spec.loader.exec_module

            def load_and_add(module: ModuleType) -> None:
                load(module)
                add_chinese_font()

            spec.loader.exec_module = load_and_add  # type: ignore[method-assign]
        return spec


def add_chinese_font() -> None:
    """Put a Chinese font behind Matplotlib's own, or say once that none is there.

    A family that is not installed would be warned about with each text.
    """
    from matplotlib import rcParams

    if family := _installed_family():
        if family not in rcParams["font.family"]:
            rcParams["font.family"] = [*rcParams["font.family"], family]
    else:
        _say_once_what_is_missing()


def _installed_family() -> str | None:
    """Return the first of the families that the machine has."""
    from matplotlib import font_manager

    fonts = font_manager.fontManager
    if not (families := {font.name for font in fonts.ttflist} & {*FAMILIES}):
        # Matplotlib's list is as old as its cache: the font may be new.
        known = {font.fname for font in fonts.ttflist}
        for file in {*font_manager.findSystemFonts()} - known:
            with suppress(Exception):  # A format that Matplotlib does not read.
                fonts.addfont(file)
        families = {font.name for font in fonts.ttflist} & {*FAMILIES}
    return min(families, key=FAMILIES.index, default=None)


def _say_once_what_is_missing() -> None:
    """Print a line in place of Matplotlib's warnings, one for each glyph."""
    from matplotlib import _text_helpers

    warn = _text_helpers.warn_on_missing_glyph
    is_said = False

    def warn_on_missing_glyph(codepoint: int) -> None:
        nonlocal is_said
        if codepoint < _FIRST_CJK:
            warn(codepoint)
        elif not is_said:
            is_said = True
            print(NO_FONT, file=sys.stderr)

    _text_helpers.warn_on_missing_glyph = warn_on_missing_glyph
