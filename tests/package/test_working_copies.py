"""Protects: what a reader changes is never lost, and neither is an original.

A little book stands for the book: an index, a section with its solution, a picture.
"""

import fcntl
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import d2lutil as gb
from d2lutil.pages import sections
from lab import restore, start, working_copies
from lab.working_copies import LOCK, NOTES, bring_up_to_date

NIN, SOLUTION, PICTURE = "08-nin.ipynb", "solutions/08-nin.ipynb", "img/nin/1.svg"
FILES = ["index.ipynb", NIN, SOLUTION, PICTURE]
KEPT = r"{}\.{}-\d{{4}}-\d\d-\d\d-\d{{6}}(-\d+)?\.{}"


def write_notebook(path: Path, source: str, output: str = "") -> None:
    """Write a notebook with one cell of code, as JupyterLab writes it."""
    outputs = [{"output_type": "stream", "name": "stdout", "text": [output]}]
    cell = {"cell_type": "code", "metadata": {}, "source": source, "outputs": outputs}
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps({"cells": [cell], "metadata": {}}, indent=1))


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the originals."""
    book = tmp_path / "book" / "notebooks"
    monkeypatch.setattr(sections, "NOTEBOOKS", book)
    write_notebook(book / "index.ipynb", "[NiN](08-nin.ipynb)")
    write_notebook(book / NIN, "net = 1", "stored")
    write_notebook(book / SOLUTION, "net = 2")
    (book / PICTURE).parent.mkdir(parents=True)
    (book / PICTURE).write_text("<svg>1</svg>")
    return book


@pytest.fixture
def work(book: Path) -> Path:
    """The folder of the copies, which are made."""
    work = working_copies.work_folder()
    bring_up_to_date(work)
    return work


def texts(folder: Path) -> dict[str, str]:
    """Return all files that a reader sees, by their paths."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("[!.]*"))
        if path.is_file() and path.parent.name != ".layout"
    }


def the_kept(work: Path, name: str) -> Path:
    """Return the one copy that is kept beside the one with that name."""
    (kept,) = (work / name).parent.glob(f"{Path(name).stem}.*-*")
    return kept


def lines_of(work: Path) -> str:
    return "\n".join(bring_up_to_date(work).lines())


# Copies are made.


def test_work_mirrors_the_book(book, work):
    assert work == book.parent / "work"
    assert texts(work) == texts(book)
    assert list(texts(work)) == sorted(FILES)


def test_real_book_is_copied_with_all_that_it_links_to(tmp_path):
    bring_up_to_date(tmp_path)
    for path in [*tmp_path.glob("*.ipynb"), *tmp_path.glob("solutions/*.ipynb")]:
        cells = json.loads(path.read_bytes())["cells"]
        prose = "".join(sections.source(c) for c in cells if c["cell_type"] != "code")
        targets = re.findall(r"\]\(((?!http)[^)#\s]+)|src=\"([^\"]+)", prose)
        assert all((path.parent / (a or b)).exists() for a, b in targets)


def test_other_files_of_the_book_are_not_copied(book):
    write_notebook(book / "draft.ipynb", "x")
    (book / "img" / ".DS_Store").write_text("x")
    work = working_copies.work_folder()
    bring_up_to_date(work)
    assert list(texts(work)) == sorted(FILES)
    assert not (work / "img" / ".DS_Store").exists()


def test_deleted_copy_is_made_again(book, work):
    (work / NIN).unlink()
    (work / PICTURE).unlink()
    bring_up_to_date(work)
    assert texts(work) == texts(book)


def test_copy_can_be_written_where_the_original_cannot(book):
    (book / NIN).chmod(0o444)
    work = working_copies.work_folder()
    bring_up_to_date(work)
    assert (work / NIN).stat().st_mode & 0o200


def test_read_only_book_is_copied_to_the_users_own_folder(book, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("os.access", lambda path, mode: path != book.parent)
    work = working_copies.work_folder()
    assert work == tmp_path / "modern-cnn-work"
    assert str(work) in lines_of(work)
    assert not (book.parent / "work").exists()


def test_folder_of_another_user_is_not_used(book, work, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("os.access", lambda path, mode: path != work)
    assert working_copies.work_folder() == tmp_path / "modern-cnn-work"


# The original changed, the reader's copy did not.


def test_untouched_copies_follow_their_originals(book, work):
    write_notebook(book / NIN, "net = 3")
    write_notebook(book / SOLUTION, "net = 2", "another output")
    (book / PICTURE).write_text("<svg>2</svg>")
    assert lines_of(work).endswith(f"book: 08-nin, solutions/08-nin, {PICTURE}.")
    assert texts(work) == texts(book)
    assert lines_of(work).count("\n") == 0


def test_copy_that_was_only_run_is_renewed_and_the_run_one_kept(book, work):
    write_notebook(work / SOLUTION, "net = 2", "an hour's run")
    assert lines_of(work).count("\n") == 0
    write_notebook(book / SOLUTION, "net = 4")
    said = lines_of(work)
    assert (work / SOLUTION).read_text() == (book / SOLUTION).read_text()
    kept = the_kept(work, SOLUTION)
    assert "an hour's run" in kept.read_text()
    assert re.fullmatch(KEPT.format("08-nin", "run", "ipynb"), kept.name)
    assert f"solutions/{kept.name}" in said


def test_copy_that_jupyterlab_only_wrote_anew_is_not_kept(book, work):
    notebook = json.loads((work / NIN).read_bytes())
    notebook["metadata"]["language_info"] = {"version": "3.11.9"}
    (work / NIN).write_text(json.dumps(notebook, indent=2))
    write_notebook(book / NIN, "net = 3")
    bring_up_to_date(work)
    assert texts(work) == texts(book)


# The reader's copy changed.


def test_changed_copy_stays_and_one_line_says_so(book, work):
    write_notebook(work / NIN, "net = mine")
    assert lines_of(work).count("\n") == 0
    for source in ("net = 3", "net = 3", "net = 4"):
        write_notebook(book / NIN, source)
        mine = texts(work)
        line = lines_of(work).split("\n")[1]
        assert "a newer original of 08-nin, but you changed your copy" in line
        assert line.endswith(': make restore NB="08-nin"')
        assert texts(work) == mine


@pytest.mark.parametrize(
    "change",
    [
        {"source": "net = 1 "},
        {"cell_type": "markdown"},
        {"source": ["net = 1\n", "pass"]},
    ],
)
def test_smallest_change_counts(book, work, change):
    notebook = json.loads((work / NIN).read_bytes())
    notebook["cells"][0] |= change
    (work / NIN).write_text(json.dumps(notebook))
    write_notebook(book / NIN, "net = 3")
    assert bring_up_to_date(work).newer == ["08-nin"]


def test_added_cell_counts(book, work):
    notebook = json.loads((work / NIN).read_bytes())
    notebook["cells"] *= 2
    (work / NIN).write_text(json.dumps(notebook))
    write_notebook(book / NIN, "net = 3")
    assert bring_up_to_date(work).newer == ["08-nin"]


@pytest.mark.parametrize("damage", ["", "<<<<<<< HEAD", '{"cells": 1}', "\xff", "[]"])
def test_copy_that_is_no_notebook_any_more_stays(book, work, damage):
    (work / NIN).write_text(damage, encoding="latin-1")
    write_notebook(book / NIN, "net = 3")
    assert bring_up_to_date(work).newer == ["08-nin"]
    assert (work / NIN).read_text(encoding="latin-1") == damage


def test_book_may_say_in_the_end_what_the_reader_said(book, work):
    write_notebook(work / NIN, "net = 3", "mine")
    write_notebook(book / NIN, "net = 3", "stored")
    assert bring_up_to_date(work).newer == []
    assert "mine" in (work / NIN).read_text()


def test_readers_other_files_stay(work):
    write_notebook(work / "mine.ipynb", "x")
    (work / "img" / "cat.png").write_text("x")
    (work / "solutions" / "notes.txt").write_text("x")
    before = texts(work)
    bring_up_to_date(work)
    assert texts(work) == before


def test_copy_of_a_deleted_original_stays(book, work):
    write_notebook(book / "index.ipynb", "no section")
    (book / NIN).unlink()
    (book / PICTURE).unlink()
    bring_up_to_date(work)
    assert {NIN, PICTURE} < set(texts(work))


def test_sections_are_loaded_from_the_originals(book, work):
    write_notebook(work / NIN, "net = 'mine'")
    assert gb.load_section("08-nin").net == 1


# Accidents.

DAMAGES = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_text(""),
    "cut off": lambda path: path.write_text(path.read_text()[:200]),
    "binary": lambda path: path.write_bytes(b"\xff\x00"),
    "of another form": lambda path: path.write_text('{"08-nin": {"digest": 1}}'),
    "a list": lambda path: path.write_text("[]"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_without_notes_nothing_that_differs_is_replaced(book, work, damage):
    write_notebook(work / NIN, "net = mine")
    damage(work / NOTES)
    write_notebook(book / NIN, "net = 3")
    write_notebook(book / SOLUTION, "net = 4")
    before = texts(work)
    assert bring_up_to_date(work).newer == ["08-nin", "solutions/08-nin"]
    assert texts(work) == before


def test_without_notes_equal_copies_are_noted_again(book, work):
    (work / NOTES).unlink()
    write_notebook(work / SOLUTION, "net = 2", "run")
    bring_up_to_date(work)
    write_notebook(book / NIN, "net = 3")
    write_notebook(book / SOLUTION, "net = 4")
    assert bring_up_to_date(work).newer == []
    assert (work / NIN).read_text() == (book / NIN).read_text()
    assert "run" in the_kept(work, SOLUTION).read_text()


class KilledError(BaseException):
    """The end of the process: nothing in the code cleans up after it."""


def kill_at(moment: int, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """End the process when it renames a file for that time, just before it does."""
    rename, calls = getattr(Path, method), iter(range(moment))

    def rename_or_die(path: Path, target: Path) -> Path:
        if next(calls, None) is None:
            raise KilledError
        return rename(path, target)

    monkeypatch.setattr(Path, method, rename_or_die)


@pytest.mark.parametrize("method", ["replace", "rename"])
@pytest.mark.parametrize("moment", range(len(FILES) + 1))
@pytest.mark.parametrize("is_first", [True, False])
def test_killed_at_any_moment_no_copy_is_half(
    book, monkeypatch, moment, method, is_first
):
    work = working_copies.work_folder()
    if not is_first:
        bring_up_to_date(work)
        write_notebook(work / SOLUTION, "net = 2", "run")
        for name in (NIN, SOLUTION):
            write_notebook(book / name, "net = new" * 99)
        write_notebook(book / "index.ipynb", "[NiN](08-nin.ipynb)", "new")
    with monkeypatch.context() as patch:
        kill_at(moment, patch, method)
        try:
            bring_up_to_date(work)
        except KilledError:
            pass
    for path in work.rglob("[!.]*.ipynb"):
        assert json.loads(path.read_bytes())["cells"]

    assert bring_up_to_date(work).newer == []
    assert texts(book).items() <= texts(work).items()
    assert not list(work.rglob("*.part"))
    if not is_first:
        assert "run" in the_kept(work, SOLUTION).read_text()
    assert len(texts(work)) == len(FILES) + (not is_first)


def test_two_at_once_take_turns(book, work):
    write_notebook(book / NIN, "net = 3")
    second = threading.Thread(target=bring_up_to_date, args=[work])
    with (work / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second.start()
        second.join(0.3)
        assert second.is_alive()
        assert "net = 1" in (work / NIN).read_text()
    second.join(30)
    assert "net = 3" in (work / NIN).read_text()


def test_many_at_once_keep_a_run_copy_once(book, work):
    write_notebook(work / NIN, "net = 1", "run")
    write_notebook(book / NIN, "net = 3")
    program = (
        "import sys; from pathlib import Path; from d2lutil.pages import sections; "
        "sections.NOTEBOOKS = Path(sys.argv[1]); from lab import working_copies; "
        "working_copies.bring_up_to_date(Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", program, book, work]
    root = Path(__file__).parents[2]
    children = [subprocess.Popen(command, cwd=root) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    assert "run" in the_kept(work, NIN).read_text()
    assert "net = 3" in (work / NIN).read_text()


# Restoring.


@pytest.fixture
def say(capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Restore notebooks; return what is printed."""

    def say(*names: str) -> str:
        restore.main([*names])
        return capsys.readouterr().out

    return say


def test_restore_brings_the_original_back_and_keeps_the_readers(book, work, say):
    write_notebook(work / NIN, "net = mine")
    said = say("08-nin")
    assert (work / NIN).read_text() == (book / NIN).read_text()
    kept = the_kept(work, NIN)
    assert "net = mine" in kept.read_text()
    assert re.fullmatch(KEPT.format("08-nin", "mine", "ipynb"), kept.name)
    assert said == f"08-nin is the book's again; yours is now {kept.name}.\n"


def test_restored_copy_follows_its_original_again(book, work, say):
    write_notebook(work / NIN, "net = mine")
    write_notebook(book / NIN, "net = 3")
    say("08-nin")
    write_notebook(book / NIN, "net = 4")
    assert lines_of(work).endswith("Renewed from the book: 08-nin.")


def test_restoring_soon_again_keeps_every_one(work, say):
    for i in range(3):
        write_notebook(work / NIN, f"net = 'mine {i}'")
        say("08-nin")
    kept = "".join(path.read_text() for path in work.glob("08-nin.mine-*"))
    assert all(f"mine {i}" in kept for i in range(3))


def test_restore_takes_several_and_solutions(book, work, say):
    for name in (NIN, SOLUTION):
        write_notebook(work / name, "net = mine")
    said = say("08-nin", "solutions/08-nin")
    assert texts(book).items() <= texts(work).items()
    assert f"yours is now solutions/{the_kept(work, SOLUTION).name}.\n" in said


def test_restore_takes_the_name_of_a_file(book, work, say):
    write_notebook(work / NIN, "net = mine")
    assert "yours is now" in say("work/08-nin.ipynb")
    assert (work / NIN).read_text() == (book / NIN).read_text()


def test_restore_brings_stored_outputs_back(book, work, say):
    write_notebook(work / NIN, "net = 1", "mine")
    say("08-nin")
    assert (work / NIN).read_text() == (book / NIN).read_text()
    assert "mine" in the_kept(work, NIN).read_text()


def test_restore_of_what_is_as_it_was_does_nothing(work, say):
    before = texts(work)
    assert "there is nothing to restore" in say("08-nin")
    assert texts(work) == before


def test_restore_of_a_deleted_copy(book, work, say):
    shutil.rmtree(work)
    assert say("08-nin") == "08-nin is there again.\n"
    assert (work / NIN).read_text() == (book / NIN).read_text()


def test_unknown_name_is_one_sentence_and_nothing_is_restored(work):
    write_notebook(work / NIN, "net = mine")
    with pytest.raises(SystemExit, match="'8-nin'; there are index, 08-nin, sol"):
        restore.main(["08-nin", "8-nin"])
    assert "net = mine" in (work / NIN).read_text()


def test_without_a_name_a_sentence_says_how_to_give_one():
    with pytest.raises(SystemExit, match="make restore NB=08-nin"):
        restore.main([])


# Starting JupyterLab.


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments that JupyterLab is started with, once it is."""
    arguments = []
    monkeypatch.setattr("os.execve", lambda _, command, env: arguments.extend(command))
    return arguments


def test_start_opens_the_copies(book, started, capsys):
    start.main(["--no-browser"])
    work = book.parent / "work"
    assert texts(work) == texts(book)
    assert capsys.readouterr().out == f"Your copies of the notebooks are in {work}.\n"
    assert f"--ServerApp.root_dir={work}" in started
    assert "--LabApp.default_url=/lab/tree/index.ipynb" in started
    assert started[-1] == "--no-browser"


def test_layout_is_the_books_at_first_and_then_the_readers(book, started):
    start.main([])
    layout = book.parent / "work" / ".layout" / start.LAYOUT.name
    assert layout.read_bytes() == start.LAYOUT.read_bytes()
    assert f"--LabApp.workspaces_dir={layout.parent}" in started
    layout.write_text("the reader's")
    start.main([])
    assert layout.read_text() == "the reader's"


def test_edit_opens_the_originals(book, started, capsys):
    start.main(["--edit", "--no-browser"])
    assert not (book.parent / "work").exists()
    assert f"--ServerApp.root_dir={book.parent}" in started
    assert "--LabApp.default_url=/lab/tree/notebooks/index.ipynb" in started
    assert "--edit" not in started
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("user, is_allowed", [(0, True), (1000, False)])
def test_only_root_is_allowed_as_root(book, started, monkeypatch, user, is_allowed):
    monkeypatch.setattr("os.geteuid", lambda: user)
    start.main([])
    assert ("--allow-root" in started) == is_allowed


def test_folder_that_cannot_be_written_is_one_sentence(book, started):
    (book.parent / "work").write_text("a file")
    with pytest.raises(SystemExit, match=r"^JupyterLab is not started: .*work"):
        start.main([])
    assert not started


def test_python_without_jupyterlab_is_one_sentence(started, monkeypatch):
    monkeypatch.setattr(start, "find_spec", lambda name: None)
    with pytest.raises(
        SystemExit, match=r"^JupyterLab is not started: .* has no package"
    ):
        start.main([])
    assert not started
