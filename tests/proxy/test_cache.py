"""Keys that say all, values that prove themselves."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.base import Job, Method, Outcome, Span, Target
from elision.proxy.cache import outcome_key, pack, unpack

JOB = Job("a text", Method("m", (("level", "phrase"),)), Target(rate=0.5, model="gpt-4o", question="why?"))
OUTCOME = Outcome("text", 2, 1, (Span(2, 6),), "m", "m:1")


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(JOB, text="a text "),
        dataclasses.replace(JOB, target=dataclasses.replace(JOB.target, rate=0.4)),
        dataclasses.replace(JOB, target=dataclasses.replace(JOB.target, question="")),
        dataclasses.replace(JOB, target=dataclasses.replace(JOB.target, model="gpt-4")),
        dataclasses.replace(JOB, target=dataclasses.replace(JOB.target, protect=("urls",))),
    ],
)
def test_a_key_says_everything_that_an_outcome_depends_on(other: Job) -> None:
    """Another text or target is another key."""
    assert outcome_key(JOB, "f", "t") != outcome_key(other, "f", "t")


def test_teams_and_fingerprints_do_not_share_keys() -> None:
    """No team can learn by timing what another sent; new weights make new outcomes."""
    keys = {outcome_key(JOB, f, t) for f, t in (("f", "t"), ("g", "t"), ("f", "u"), ("ft", ""))}
    assert len(keys) == 4
    assert outcome_key(JOB, "f", "t") == outcome_key(JOB, "f", "t")


def test_an_outcome_comes_back_equal() -> None:
    """Packed and unpacked."""
    assert unpack(pack(OUTCOME)) == OUTCOME


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_damaged_value_is_a_miss(place: int, flip: int) -> None:
    """Whichever byte changed."""
    value = bytearray(pack(OUTCOME))
    value[place % len(value)] ^= flip
    assert unpack(bytes(value)) is None


@given(st.binary())
def test_a_foreign_value_is_a_miss(value: bytes) -> None:
    """Whatever the bytes."""
    assert unpack(value) is None
