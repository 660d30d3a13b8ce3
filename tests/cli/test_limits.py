"""Where memory or a disk gives out, one line says so and what to do."""

import errno
import os
import subprocess
import sys
import threading

import pytest

from mri3d.cli.limits import named_limits, threads_stop_silently
from mri3d.cli.status import run_script
from mri3d.errors import UserError
from tests.cli.test_train_and_predict import ROOT, SMALL


def raised(error, cause=None):
    if cause is None:
        raise error
    try:
        raise cause
    except OSError:
        raise error  # noqa: B904 (torch's context is such)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), r"^out of memory \(MemoryError\)\. Need less\.$"),
        (MemoryError("Unable to allocate 8 GiB"), r"^out of memory \(Unable to allocate 8 GiB\)\. Need less\.$"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), r"^out of memory \(.*Cannot allocate memory\)\. Need less"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), r"^out of memory .*Need less"),
        (
            RuntimeError("CUDA out of memory. Tried to\nallocate 2 GiB"),
            r"^out of memory \(CUDA out of memory\. Tried to al",
        ),
        (RuntimeError("std::bad_alloc"), r"^out of memory \(std::bad_alloc\)"),
        (RuntimeError("can't start new thread"), r"^out of memory \(can't start new thread\)"),
        (ImportError("x.so: failed to map segment from shared object"), r"^out of memory \(x\.so: failed to map"),
        (
            RuntimeError("DataLoader worker (pid 3) is killed by signal: Killed. "),
            r"^out of memory \(DataLoader worker",
        ),
        (
            RuntimeError("DataLoader worker (pid 3) is killed by signal: Bus error. "),
            r"^too little shared memory.*num_wor",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "/x/a"),
            r"^No space left on device: /x/a\. Make room there\. Re",
        ),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), r"^Disk quota exceeded\. Make room there, or have the quota"),
        (
            OSError(errno.EFBIG, "File too large", "/x/a"),
            r"^File too large: /x/a\. Lift the limit .*ulimit -f.*Resume\.$",
        ),
    ],
)
def test_what_is_missing_is_told_with_what_to_do(error, message):
    with pytest.raises(UserError, match=message), named_limits(less_memory="Need less.", after_room=lambda: "Resume."):
        raised(error)


def test_what_torch_could_not_write_is_told_as_the_disk_told_it():
    full = OSError(errno.ENOSPC, "No space left on device", "/x/last.ckpt")
    with pytest.raises(UserError, match=r"^No space left on device: /x/last\.ckpt\."), named_limits(less_memory=""):
        raised(RuntimeError("unexpected pos 313015104 vs 313014992"), full)


@pytest.mark.parametrize(
    "error", [ValueError("out of memory"), RuntimeError("x"), OSError(errno.EIO, "y"), KeyError("z"), ImportError("w")]
)
def test_other_errors_are_let_through(error):
    with pytest.raises(type(error)) as found, named_limits(less_memory=""):
        raised(error)
    assert found.value is error


def test_a_mistake_of_the_users_is_let_through():
    with pytest.raises(UserError, match=r"^the cache is full\. Make room\.$"), named_limits(less_memory=""):
        raised(UserError("the cache is full. Make room."), OSError(errno.ENOSPC, "No space left on device"))


def test_a_thread_that_finds_no_room_is_silent_and_any_other_is_not(monkeypatch, capfd):
    monkeypatch.setattr(threading, "excepthook", threads_stop_silently)
    for error in (OSError(errno.ENOSPC, "No space"), OSError(errno.EFBIG, "Too large"), OSError(errno.EIO, "Broken")):
        thread = threading.Thread(target=raised, args=(error,))
        thread.start()
        thread.join()
    said = capfd.readouterr().err
    assert "Broken" in said
    assert "No space" not in said
    assert "Too large" not in said


COMMAND = [sys.executable, str(ROOT / "train.py"), *SMALL, "trainer.max_epochs=2"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the folder of a run that nothing cuts off."""
    cwd, environment = tmp_path_factory.mktemp("whole"), os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*COMMAND, "name=first"], cwd=cwd, check=True, capture_output=True, env=environment)
    (folder,) = cwd.glob("runs/first/*")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [2, 4, 8, 30, 60])
def test_limit_on_the_size_of_files_is_told_and_the_run_can_be_gone_on_with(kilobytes, whole, tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    limited = ["bash", "-c", f'ulimit -f {kilobytes}; "$@" 2>&1 | cat', "-", *COMMAND, "name=cut"]
    said = subprocess.run(limited, cwd=tmp_path, check=True, capture_output=True, text=True, env=environment).stdout
    assert "Traceback" not in said
    assert said.count("error:") == 1
    last = said.splitlines()[-1]
    assert last.startswith("error: File too large")
    assert "Lift the limit on the size of files (ulimit -f)." in last
    assert not list(tmp_path.rglob(".writing-*"))
    if kilobytes < 4:
        assert not list(tmp_path.glob("runs/cut/*"))
        return
    (folder,) = tmp_path.glob("runs/cut/*")
    assert last.endswith(f"Go on with: python train.py resume={folder.relative_to(tmp_path)}")
    resume = [*COMMAND[:2], f"resume={folder}"]
    subprocess.run(resume, cwd=tmp_path, check=True, capture_output=True, env=environment)
    assert (folder / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()


def test_too_little_memory_even_to_import_is_told_in_one_line(capfd, monkeypatch):
    monkeypatch.setattr("mri3d.cli.status.signal.signal", lambda *given: None)  # those of this process stay

    def imports():
        raise ImportError("libtorch_cpu.so: failed to map segment from shared object")

    assert run_script(imports) == 2
    told = capfd.readouterr().err
    assert told.startswith("error: out of memory (libtorch_cpu.so: failed to map")
    assert told.endswith("Close other programs, or use a machine with more.\n")
    assert told.count("\n") == 1
