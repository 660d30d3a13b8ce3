"""A lack of memory is known by what Python and its libraries say of it, and by what it led to."""

import errno

import pytest

from mri3d.shortage import is_out_of_memory, memory_text


def raised_while(handled, error):
    try:
        try:
            raise handled
        except type(handled):
            raise error  # noqa: B904 (it is met while the other is handled)
    except type(error) as found:
        return found


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "MemoryError"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "[Errno 12] Cannot allocate memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "DefaultCPUAllocator: can't allocate memory"),
        (ImportError("libtorch_cpu.so: failed to map segment"), "libtorch_cpu.so: failed to map segment"),
        (raised_while(RuntimeError("can't start new thread"), AttributeError("terminate")), "can't start new thread"),
        (raised_while(MemoryError(), KeyError("x")), "MemoryError"),
    ],
)
def test_a_lack_of_memory_is_known_also_by_what_it_led_to(error, told):
    assert is_out_of_memory(error)
    assert memory_text(error) == told


@pytest.mark.parametrize(
    "error", [ValueError("out of memory"), OSError(errno.EIO, "x"), raised_while(KeyError(), ValueError())]
)
def test_other_errors_are_no_lack_of_memory(error):
    assert not is_out_of_memory(error)
