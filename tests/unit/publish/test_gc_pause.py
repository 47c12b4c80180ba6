"""The collector of cycles is off meanwhile, and on again afterwards."""

from __future__ import annotations

import gc

import pytest

from sluice.publish.gc_pause import gc_paused


def test_it_is_off_meanwhile_and_on_again_even_after_an_error() -> None:
    def fail() -> None:
        assert not gc.isenabled()
        raise IndexError

    assert gc.isenabled()
    with pytest.raises(IndexError), gc_paused():
        fail()
    assert gc.isenabled()


def test_whoever_had_it_off_finds_it_off() -> None:
    with gc_paused():
        with gc_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
