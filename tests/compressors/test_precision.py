"""Half precision is taken where the machine does it fast, and where it is asked for."""

import pytest

from elision.compressors.precision import Precision, chosen, names_half

AMX = "processor\t: 0\nmodel name\t: any\nflags\t\t: fpu avx512f amx_bf16 amx_tile\n"
OLD = "processor\t: 0\nmodel name\t: with bf16 in its name\nflags\t\t: fpu sse2 avx2 avx512f\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd sve bf16 i8mm\n"


@pytest.mark.parametrize(("cpu", "has"), [(AMX, True), (OLD, False), (ARM, True), ("", False)])
def test_a_cpu_says_whether_it_has_instructions_for_it(cpu: str, has: bool) -> None:
    """By its flags, not by its name."""
    assert names_half(cpu) is has


@pytest.mark.parametrize("asked", [Precision.FULL, Precision.HALF])
def test_what_is_asked_for_is_taken(asked: Precision) -> None:
    """Whatever the machine."""
    assert chosen(asked) is asked


def test_left_to_the_machine_it_is_one_of_both() -> None:
    """Auto is never what a model is loaded in, and the same each time."""
    assert chosen(Precision.AUTO) in (Precision.FULL, Precision.HALF)
    assert chosen(Precision.AUTO) is chosen(Precision.AUTO)
