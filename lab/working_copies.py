"""Working copies of the book: what a reader opens, so that no original is ever lost.

Their folder mirrors the book's: notebooks, solutions and pictures.  When an original
changes, its copy is renewed if the reader has changed nothing in it; running it is not
changing it.  Notes beside the copies say what they were made from.  Without a note, a
copy that differs from its original counts as changed.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import chain, count
from pathlib import Path

from d2lutil.pages import sections

OWN_FOLDER = "~/modern-cnn-work"
NOTES, LOCK = ".copies.json", ".copies.lock"

# What the new name of a copy that is kept says: it was only run, or is the reader's.
RUN, MINE = "run", "mine"


@dataclass(frozen=True)
class Content:
    """What a file holds, as digests: a copy is compared with an original long gone.

    Attributes:
        written: What people write: the kinds of the cells and their sources.
        whole: That and what running changes: the cells with outputs and metadata.
    """

    written: str
    whole: str

    @classmethod
    def of(cls, data: bytes) -> "Content":
        """Return what a notebook holds; in any other file, all of it is written."""
        try:
            cells = json.loads(data)["cells"]
            written = [[cell["cell_type"], sections.source(cell)] for cell in cells]
        except (ValueError, TypeError, KeyError):
            return cls(_digest(data), _digest(data))
        return cls(
            _digest(json.dumps(written).encode()),
            _digest(json.dumps(cells, sort_keys=True).encode()),
        )


Notes = dict[str, Content]


@dataclass
class Changes:
    """What bringing the copies up to date came to.

    Attributes:
        work: Folder of the copies.
        renewed: Names of the files whose copies were replaced.
        kept: Those of these copies that had been run, under their new names.
        newer: Names of the files that changed, but so did the reader's copies.
    """

    work: Path
    renewed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    newer: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return what the reader is told."""
        lines = [f"Your copies of the notebooks are in {self.work}."]
        if self.renewed:
            lines.append(f"Renewed from the book: {', '.join(self.renewed)}.")
        if self.kept:
            lines.append(f"You had run some; that is kept in {', '.join(self.kept)}.")
        if self.newer:
            lines.append(
                f"The book has a newer original of {', '.join(self.newer)}, but you "
                "changed your copy, so it stays. To get the original and keep yours "
                f'beside it: make restore NB="{" ".join(self.newer)}"'
            )
        return lines


def book_folder() -> Path:
    """Return the folder that holds the book."""
    return sections.NOTEBOOKS.parent


def work_folder() -> Path:
    """Return the folder of the copies: in the book, or the user's own.

    The user's own is for a book that only others may write, such as a class's.
    """
    work = book_folder() / "work"
    if os.access(work if work.exists() else work.parent, os.W_OK):
        return work
    return Path(os.path.expanduser(OWN_FOLDER))


def originals() -> dict[str, Path]:
    """Return the files of the book, by names such as "08-nin" and "img/nin.svg"."""
    notebooks = {name: sections.path(name) for name in sections.notebook_names()}
    pictures = {
        str(path.relative_to(sections.NOTEBOOKS)): path
        for path in (sections.NOTEBOOKS / "img").rglob("[!.]*")
        if path.is_file()
    }
    return notebooks | pictures


def bring_up_to_date(work: Path) -> Changes:
    """Make the copies that are missing; renew those that the reader has not changed."""
    changes = Changes(work)
    with _notes_of(work) as notes:
        for name, original in originals().items():
            _renew(name, original, notes, changes)
    return changes


def is_as_original(name: str, work: Path) -> bool:
    """Tell whether a copy holds what its original holds, with the stored outputs."""
    original = originals()[name]
    copy = _copy_of(original, work)
    return copy.exists() and _content(copy) == _content(original)


def restore(name: str, work: Path) -> Path | None:
    """Bring an original back; return the file that keeps the reader's, if there was."""
    original = originals()[name]
    copy = _copy_of(original, work)
    with _notes_of(work) as notes:
        kept = _keep(copy, MINE) if copy.exists() else None
        notes[name] = _copy(original, copy)
    return kept


def _renew(name: str, original: Path, notes: Notes, changes: Changes) -> None:
    """Bring one copy up to date, and the note on what it was made from."""
    copy = _copy_of(original, changes.work)
    if not copy.exists():
        notes[name] = _copy(original, copy)
        return

    noted, new, mine = notes.get(name), _content(original), _content(copy)
    is_changed = noted is None or mine.written != noted.written
    if new in (noted, mine) or (is_changed and mine.written == new.written):
        notes[name] = new
    elif noted is None or is_changed:
        changes.newer.append(name)
    else:
        if mine.whole != noted.whole:
            changes.kept.append(str(_keep(copy, RUN).relative_to(changes.work)))
        notes[name] = _copy(original, copy)
        changes.renewed.append(name)


def _copy_of(original: Path, work: Path) -> Path:
    return work / original.relative_to(sections.NOTEBOOKS)


def _keep(copy: Path, word: str) -> Path:
    """Give a copy a name that says why it is kept and since when; return the new one.

    Renaming it loses nothing, not even what JupyterLab saves at the same moment.
    """
    now = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    suffixes = chain([""], (f"-{number}" for number in count(2)))
    names = (f"{copy.stem}.{word}-{now}{suffix}{copy.suffix}" for suffix in suffixes)
    kept = next(p for p in map(copy.with_name, names) if not p.exists())
    return copy.rename(kept)


def _copy(original: Path, copy: Path) -> Content:
    data = original.read_bytes()
    _write(copy, data)
    return Content.of(data)


def _content(path: Path) -> Content:
    return Content.of(path.read_bytes())


def _write(path: Path, data: bytes) -> None:
    """Write a file as a whole: whoever is stopped half-way leaves no half behind."""
    unfinished = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished.write_bytes(data)
    unfinished.replace(path)


@contextmanager
def _notes_of(work: Path) -> Iterator[Notes]:
    """Lend the notes on what the copies were made from; store them at the end.

    Meanwhile no other process has them, nor touches the copies.
    """
    work.mkdir(parents=True, exist_ok=True)
    with (work / LOCK).open("w") as lock:
        # Some network file systems know no locks; one reader alone needs none.
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        notes = _read_notes(work / NOTES)
        yield notes
        noted = {name: asdict(content) for name, content in notes.items()}
        _write(work / NOTES, json.dumps(noted, indent=1).encode())


def _read_notes(path: Path) -> Notes:
    """Return the notes; none where they are missing or damaged."""
    try:
        noted = json.loads(path.read_bytes())
        return {name: Content(**content) for name, content in noted.items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
