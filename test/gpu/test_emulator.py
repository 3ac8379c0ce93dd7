"""The emulator itself: what it computes, and that it notices what a GPU would refuse or silently get wrong."""
import ctypes

import numpy as np
import pytest

HEADER = ".version 7.0\n.target sm_80\n.address_size 64\n"


class Module:
    def __init__(self, driver, ptx):
        self.driver, self.module = driver, ctypes.c_void_p()
        assert driver.cuModuleLoadDataEx(ctypes.byref(self.module), (HEADER + ptx).encode(), 0, None, None) == 0, self.error()

    def error(self):
        text = ctypes.c_char_p()
        self.driver.cuGetErrorString(0, ctypes.byref(text))
        return text.value.decode()

    def launch(self, name, blocks, threads, *arguments):
        function = ctypes.c_void_p()
        assert self.driver.cuModuleGetFunction(ctypes.byref(function), self.module, name.encode()) == 0
        values = [ctypes.c_uint64(one) for one in arguments]
        pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])
        return self.driver.cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, 0, None, pointers, None)


@pytest.fixture
def memory(driver_path):
    """memory(array): a device copy, as (address, function that reads it back)."""
    driver = ctypes.CDLL(str(driver_path))
    owned = []

    def copy(array):
        address = ctypes.c_uint64()
        assert driver.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(array.nbytes)) == 0
        owned.append(address)
        assert driver.cuMemcpyHtoDAsync_v2(address, array.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(array.nbytes), None) == 0

        def read():
            result = np.empty_like(array)
            assert driver.cuMemcpyDtoHAsync_v2(result.ctypes.data_as(ctypes.c_void_p), address, ctypes.c_size_t(array.nbytes), None) == 0
            return result
        return address.value, read

    copy.driver = driver
    yield copy
    for address in owned:
        driver.cuMemFree_v2(address)


REVERSE = """
.visible .entry reverse(.param .u64 reverse_param_0) .maxntid 128
{
	.reg .b32 %r<6>; .reg .b64 %rd<8>;
	.shared .align 4 .b8 tile[512];
	ld.param.b64 %rd1, [reverse_param_0];
	mov.u32 %r1, %tid.x;
	mul.wide.u32 %rd2, %r1, 4;
	add.s64 %rd3, %rd1, %rd2;
	ld.global.b32 %r2, [%rd3];
	mov.b64 %rd4, tile;
	add.s64 %rd5, %rd4, %rd2;
	st.shared.b32 [%rd5], %r2;
	bar.sync 0;
	sub.s64 %rd6, %rd4, %rd2;
	ld.shared.b32 %r3, [%rd6+508];
	st.global.b32 [%rd3], %r3;
	ret;
}
"""

SUM = """
.visible .entry sum(.param .u64 sum_param_0) .maxntid 128
{
	.reg .b32 %r<12>; .reg .b64 %rd<4>;
	ld.param.b64 %rd1, [sum_param_0];
	mov.u32 %r1, %tid.x;
	mul.wide.u32 %rd2, %r1, 4;
	add.s64 %rd3, %rd1, %rd2;
	ld.global.b32 %r2, [%rd3];
	shfl.sync.bfly.b32 %r3, %r2, 16, 31, -1;
	add.s32 %r2, %r2, %r3;
	shfl.sync.bfly.b32 %r3, %r2, 8, 31, -1;
	add.s32 %r2, %r2, %r3;
	shfl.sync.bfly.b32 %r3, %r2, 4, 31, -1;
	add.s32 %r2, %r2, %r3;
	shfl.sync.bfly.b32 %r3, %r2, 2, 31, -1;
	add.s32 %r2, %r2, %r3;
	shfl.sync.bfly.b32 %r3, %r2, 1, 31, -1;
	add.s32 %r2, %r2, %r3;
	st.global.b32 [%rd3], %r2;
	ret;
}
"""

MINIMUM = """
.visible .entry minimum(.param .u64 minimum_param_0) .maxntid 128
{
	.reg .b32 %r<3>; .reg .b64 %rd<9>;
	ld.param.b64 %rd1, [minimum_param_0];
	mov.u32 %r1, %tid.x;
	mul.wide.u32 %rd2, %r1, 8;
	add.s64 %rd3, %rd1, %rd2;
	ld.global.b64 %rd4, [%rd3+8];
	atom.global.min.u64 %rd5, [%rd1], %rd4;
	ret;
}
"""

LOAD = """
.visible .entry load(.param .u64 load_param_0) .maxntid 128
{
	.reg .b32 %r<3>; .reg .b64 %rd<4>;
	ld.param.b64 %rd1, [load_param_0];
	ld.global.b32 %r1, [%rd1+4];
	st.global.b32 [%rd1+4], %r1;
	ret;
}
"""


def test_barrier(memory):
    """Every thread sees what all others wrote before the barrier."""
    values = np.arange(128, dtype=np.int32)
    address, read = memory(values)
    assert Module(memory.driver, REVERSE).launch("reverse", 1, 128, address) == 0
    np.testing.assert_array_equal(read(), values[::-1])


def test_barrier_is_needed(memory):
    """The order of threads is such that a kernel without its barrier is wrong."""
    values = np.arange(128, dtype=np.int32)
    address, read = memory(values)
    assert Module(memory.driver, REVERSE.replace("bar.sync 0;", "").replace("reverse", "without")).launch("without", 1, 128, address) == 0
    assert (read() != values[::-1]).any()


def test_shuffle(memory):
    """A butterfly over a warp."""
    values = np.arange(128, dtype=np.int32)
    address, read = memory(values)
    assert Module(memory.driver, SUM).launch("sum", 1, 128, address) == 0
    np.testing.assert_array_equal(read(), values.reshape(4, 32).sum(1).repeat(32))


def test_atomic(memory):
    """What all threads make smaller is the smallest of them, of unsigned numbers."""
    values = np.random.default_rng(1).integers(2**62, 2**64, 129, np.uint64)
    values[0] = 2**64 - 1
    address, read = memory(values)
    assert Module(memory.driver, MINIMUM).launch("minimum", 1, 128, address) == 0
    assert read()[0] == values[1:].min() and (read()[1:] == values[1:]).all()


@pytest.mark.parametrize("array, offset, message", [
    (np.zeros(1, np.int32), 0, "an address outside of all allocations"),
    (np.zeros(4, np.int32), 2, "a misaligned address"),
    (None, 0, "a host address"),
])
def test_faults(memory, array, offset, message):
    """Accesses out of bounds, misaligned ones, and host memory."""
    host = np.zeros(4, np.int32)
    address = memory(array)[0] if array is not None else host.ctypes.data
    module = Module(memory.driver, LOAD)
    assert module.launch("load", 1, 1, address + offset) == 700
    assert "load, block 0, thread 0: " + message in module.error()


def test_unknown_instruction(memory):
    """Nothing is guessed."""
    with pytest.raises(AssertionError):
        Module(memory.driver, LOAD.replace("ld.global.b32 %r1, [%rd1+4];", "frobnicate.b32 %r1, %r1;").replace("load", "unknown"))
