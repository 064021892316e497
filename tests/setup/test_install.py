"""Protects: whatever happens to an environment, the same command makes it whole."""

import http.server
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from copies import WHERE, Book, assert_whole, copy_parts, copy_tree


def package(book: Book) -> Path:
    return book.folder / "d2lutil" / "__init__.py"


def snapshot(folder: Path) -> dict[Path, tuple[int, int]]:
    files = {path: path.lstat() for path in folder.rglob("*")}
    return {path: (file.st_mtime_ns, file.st_size) for path, file in files.items()}


def make_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


# ------------------------------------------------------------------------- interrupted


def packages_in(folder: Path) -> int:
    return len(list(folder.glob("lib/python*/site-packages/*.dist-info/RECORD")))


def kill_all_of(installation: subprocess.Popen) -> None:
    os.killpg(installation.pid, signal.SIGKILL)
    installation.wait()


def test_killed_while_it_writes(full: Book, place: Path):
    book = copy_parts(place / "book")
    new = book.folder / ".venv.new"
    kill_all_of(book.start(".venv", when=lambda: packages_in(new) > 5))
    assert not (book.folder / ".venv").exists()
    book.install()
    assert sorted(path.name for path in book.folder.glob(".venv*")) == [".venv"]
    assert book.where() == [package(book), book.folder / ".venv"]


def test_killed_while_uv_goes_on(full: Book, place: Path):
    book = copy_parts(place / "book")
    new = book.folder / ".venv.new"
    first = book.start(".venv", when=lambda: packages_in(new) > 5)
    os.killpg(first.pid, signal.SIGSTOP)
    os.kill(first.pid, signal.SIGKILL)

    second = subprocess.Popen(
        **book.command("install.py", ".venv"), stderr=subprocess.PIPE
    )
    assert b"waiting" in second.stderr.readline()
    os.killpg(first.pid, signal.SIGCONT)
    assert second.wait(timeout=300) == 0
    assert_whole(book.folder / ".venv")


def test_killed_while_it_fetches(book: Book):
    cache = book.folder / "cache"
    book.variables = {"UV_CACHE_DIR": str(cache)}
    kill_all_of(
        book.start(".venv", when=lambda: len(list(cache.glob("archive-v0/*"))) > 3)
    )
    assert not (book.folder / ".venv").exists()
    book.install()


def test_damaged_cache(book: Book):
    cache = book.folder / "cache"
    book.variables = {"UV_CACHE_DIR": str(cache)}
    book.install()
    (file,) = cache.glob("archive-v0/*/selenium/__init__.py")
    file.unlink()
    file.write_text("")

    shutil.rmtree(book.folder / ".venv")
    book.install()
    (file,) = book.folder.glob(".venv/lib/python*/site-packages/selenium/__init__.py")
    assert file.stat().st_size


def test_two_at_once(book: Book):
    settings = book.command("install.py", ".venv")
    both = [subprocess.Popen(**settings, stderr=subprocess.PIPE) for _ in range(2)]
    told = [process.communicate(timeout=300)[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("Installing" in sentences for sentences in told) == 1
    assert sum("waiting" in sentences for sentences in told) == 1
    assert book.install() == ""


def test_full_disk(original: Book, place: Path):
    if os.getuid():
        pytest.skip("only root may mount the small disk that this test fills")
    disk = ["mount", "-t", "tmpfs", "-o", "size=50m", "tmpfs", str(place)]
    if subprocess.run(disk, capture_output=True).returncode:
        pytest.skip("a disk cannot be mounted here")
    try:
        book = copy_parts(place, few_packages=True)
        told = book.refuse()
        assert "No space left" in told
        assert "the same command" in told
        larger = ["mount", "-o", "remount,size=1g", str(place)]
        subprocess.run(larger, check=True)
        book.install()
    finally:
        subprocess.run(["umount", str(place)], check=True)


# ----------------------------------------------------------------- moved, changed


def test_unchanged_costs_nothing(installed: Book):
    before = snapshot(installed.folder / ".venv")
    shutil.rmtree(installed.folder / ".uv", ignore_errors=True)
    installed.variables["PATH"] = "/nowhere"
    assert installed.install() == ""
    assert snapshot(installed.folder / ".venv") == before


def test_moved(installed: Book):
    moved = installed.at(installed.folder.with_name("moved"))
    installed.folder.rename(moved.folder)
    moved.variables["PATH"] = "/nowhere"
    assert moved.where() == [package(moved), moved.folder / ".venv"]
    program = moved.folder / ".venv" / "bin" / "wsdump"
    subprocess.run([program, "--help"], check=True, capture_output=True)


def test_copied_beside_its_original(installed: Book):
    copied = installed.at(installed.folder.with_name("copied"))
    copy_tree(installed.folder, copied.folder)
    assert copied.where() == [package(copied), copied.folder / ".venv"]
    assert installed.where() == [package(installed), installed.folder / ".venv"]


@pytest.mark.parametrize("locale", ["C", "zh_CN.UTF-8", "zh_CN.GBK"])
def test_folder_with_a_chinese_name(installed: Book, locale: str):
    moved = installed.at(installed.folder.with_name("现代 卷积's $网络"))
    installed.folder.rename(moved.folder)
    moved.variables["LC_ALL"] = locale
    settings = moved.command("run.py", ".venv", "-c", WHERE)
    done = subprocess.run(**settings, capture_output=True)
    assert done.stderr == b""
    assert os.fsencode(package(moved)) in done.stdout


def test_installed_in_a_folder_with_a_chinese_name(book: Book):
    moved = book.at(book.folder.with_name("现代 卷积's $网络"))
    book.folder.rename(moved.folder)
    moved.variables["LC_ALL"] = "C"
    moved.install()


def test_changed_lock(installed: Book):
    lock = installed.folder / "uv.lock"
    text = lock.read_text()
    lock.unlink()
    lock.write_text(text + "\n")
    assert "Installing" in installed.install()
    assert installed.install() == ""


def test_another_environment_in_its_place(installed: Book):
    environment = installed.folder / ".venv"
    shutil.rmtree(environment)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment])
    assert "Installing" in installed.install()


def test_groups_leave_the_environment_alone(full: Book):
    before = snapshot(full.folder / ".venv")
    assert full.install(".venv-lab-test") != ""
    assert list(full.folder.glob(".venv-lab-test/lib/python*/site-packages/selenium"))
    assert snapshot(full.folder / ".venv") == before


@pytest.mark.parametrize("command", ["pip --version", "python -m pip --version"])
def test_pip_is_the_environment_s_own(full: Book, command: str):
    as_in_a_notebook = f"import os; os.system({command!r})"
    done = full.run("run.py", ".venv", "-c", as_in_a_notebook)
    assert str(full.folder / ".venv") in done.stdout


# ------------------------------------------------------------------ uv, Python, mirrors


@pytest.mark.parametrize("text", ["exit 1", "echo uv 0.4.0"], ids=["broken", "old"])
def test_a_uv_on_the_path_that_does_not_serve(book: Book, tmp_path: Path, text: str):
    make_program(tmp_path / "uv", text)
    book.variables["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    book.install()


def test_uv_in_a_folder_with_blanks(book: Book, place: Path):
    own = book.folder / ".uv" / "bin" / "uv"
    if not own.exists():
        pytest.skip("the book uses the uv that is on the PATH")
    folder = place / "a folder"
    folder.mkdir()
    own.rename(folder / "uv")
    book.variables["PATH"] = f"{folder}:{os.environ['PATH']}"
    book.install()
    assert not own.exists()


def test_truncated_uv(book: Book, tmp_path: Path):
    make_program(tmp_path / "uv", "exit 1")
    book.variables["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    own = book.folder / ".uv" / "bin" / "uv"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_bytes(Path(sys.executable).read_bytes()[:5000])
    own.chmod(0o755)
    assert "Fetching uv" in book.install()


def test_neither_uv_nor_pip(book: Book, place: Path):
    shutil.rmtree(book.folder / ".uv", ignore_errors=True)
    without_pip = place / "without-pip"
    command = [sys.executable, "-m", "venv", "--without-pip", without_pip]
    subprocess.run(command, check=True)
    book.python = str(without_pip / "bin" / "python")
    book.variables["PATH"] = "/usr/bin:/bin"
    if shutil.which("uv", path="/usr/bin:/bin"):
        pytest.skip("uv is a program of this system")
    assert "python3-pip" in book.refuse()


def test_no_python_and_none_to_be_had(book: Book):
    book.variables |= {
        "UV_PYTHON_PREFERENCE": "only-managed",
        "UV_PYTHON_INSTALL_MIRROR": f"file://{book.folder}/nothing",
    }
    told = book.refuse()
    assert "There is no Python 3.11 on this machine" in told
    assert "UV_PYTHON_INSTALL_MIRROR" in told.splitlines()[-1]


@pytest.fixture
def brought(book: Book) -> Path:
    """A Python in .uv, as uv brings it where a machine has none; and .venv of it."""
    if sys.platform != "linux":
        pytest.skip("the folder of this Python has another name on this system")
    name = f"cpython-{platform.python_version()}-linux-{platform.machine()}-gnu"
    brought = book.folder / ".uv" / "python" / name
    (brought / "bin").mkdir(parents=True)
    shutil.copy(Path(sys.executable).resolve(), brought / "bin" / "python3.11")
    ignored = shutil.ignore_patterns("site-packages", "test", "__pycache__", "config-*")
    standard = Path(os.__file__).parent
    shutil.copytree(standard, brought / "lib" / "python3.11", ignore=ignored)
    book.variables["UV_PYTHON_PREFERENCE"] = "only-managed"
    assert "There is no Python" not in book.install()
    return brought


def test_removed_interpreter(book: Book, brought: Path):
    shutil.rmtree(brought)
    del book.variables["UV_PYTHON_PREFERENCE"]
    assert "Installing" in book.install()


def test_copy_needs_an_interpreter_of_its_own(book: Book, brought: Path):
    copied = book.at(book.folder.with_name("copied"))
    copy_tree(book.folder, copied.folder)
    assert "Installing" in copied.install()
    interpreter = (copied.folder / ".venv" / "bin" / "python").resolve()
    assert copied.folder in interpreter.parents


@pytest.fixture
def mirror():
    """The address of a package index that has nothing, and what it was asked for."""
    asked = []

    class Nothing(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/mirror", asked
    server.shutdown()


@pytest.mark.parametrize("setting", ["variable", "file", "uv's own"])
def test_mirror(book: Book, tmp_path: Path, mirror: tuple, setting: str):
    address, asked = mirror
    file = tmp_path / "pip.conf"
    file.write_text(f"[global]\nindex-url = {address}\n")
    book.variables = {"UV_CACHE_DIR": str(book.folder / "cache")}
    book.variables |= {
        "variable": {"PIP_INDEX_URL": address},
        "file": {"PIP_CONFIG_FILE": str(file)},
        "uv's own": {"UV_DEFAULT_INDEX": address, "PIP_INDEX_URL": "http://[::1]:9"},
    }[setting]
    book.refuse()
    assert "/mirror/selenium/" in asked


def test_gpu_build_takes_the_place_of_the_other(place: Path):
    book = copy_parts(place / "book")
    (book.folder / ".venv.gpu").touch()
    script = book.folder / "setup" / "asked.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(script.parent)!r})\n"
        "import install\n"
        "for name in install.ENVIRONMENTS:\n"
        "    wanted = install.requirements(install.Uv(), *install.options(name))\n"
        "    lines = wanted.decode().splitlines()\n"
        "    print(name, *[line.split()[0] for line in lines if 'mxnet' in line[:5]])\n"
    )
    asked_for = book.run("asked.py").stdout.splitlines()
    assert asked_for == [
        ".venv mxnet-cu112==1.9.1",
        ".venv-lab-test mxnet-cu112==1.9.1",
        ".venv-html",
    ]
    (book.folder / "uv.lock").unlink()
    book.run("install.py", ".venv", "--gpu=0")
    assert not (book.folder / ".venv.gpu").exists()
