"""Memory that is used again: never while anybody sees it, and always afterwards."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from cifar.workload.buffers import ALIGNMENT, Buffers


def test_memory_is_lent_again_when_nobody_sees_it():
    """A view keeps its memory from being lent, also after the array that it is a view of; its end frees the memory."""
    buffers = Buffers((2, 3), np.float32)
    array = buffers.lend(5)
    place = array.ctypes.data
    view = array[1:].reshape(-1)
    del array
    other = buffers.lend(5)
    assert other.ctypes.data != place
    del view
    assert buffers.lend(5).ctypes.data == place


@pytest.mark.parametrize(("dtype", "image_bytes"), [(np.uint8, 6), (np.float32, 24)])
def test_arrays_are_as_asked_for(dtype, image_bytes):
    """An array has the number of images, their shape and type, and an address that TensorFlow copies fast."""
    buffers = Buffers((2, 3), dtype)
    held = [buffers.lend(count) for count in (1, 7, 7, 250)]
    assert [array.shape for array in held] == [(1, 2, 3), (7, 2, 3), (7, 2, 3), (250, 2, 3)]
    assert all(array.dtype == dtype for array in held)
    assert all(array.ctypes.data % ALIGNMENT == 0 for array in held)
    assert buffers.nbytes == image_bytes


def test_held_arrays_never_share_memory():
    """However many arrays are held, more than the pool keeps too, none shows another one's memory."""
    buffers = Buffers((4,), np.uint8)
    held = [buffers.lend(10) for _ in range(100)]
    for number, array in enumerate(held):
        array[:] = number
    assert all((array == number).all() for number, array in enumerate(held))


def test_threads_get_different_memory():
    """Threads that lend and return at the same time never have the same memory at once."""
    buffers = Buffers((100,), np.uint8)
    wrong = []

    def work(number):
        for _ in range(2_000):
            array = buffers.lend(20)
            array[:] = number
            if (array != number).any():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
