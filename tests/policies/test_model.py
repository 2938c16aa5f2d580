"""Tests of elision.policies.model: the few things that its types say of themselves."""

import pytest

from elision.policies.model import Decision, Kind, Mode, Plan, Policy, Segment, Use

SEGMENT = Segment(0, 0, 1, Kind.CONTEXT, "user", "x", 1)
KEPT = Decision(SEGMENT, Use(), "", "kept: no rule matched")
CUT = Decision(SEGMENT, Use("selective_context", 0.5), "r", "rule `r` matched")


def test_a_policy_is_called_by_name_and_version() -> None:
    """As headers and logs show it."""
    assert Policy("search", "0a1b2c3d", Mode.AUDIT, 2.0, ()).label == "search@0a1b2c3d"


def test_keeping_is_not_compressing() -> None:
    """No compressor sees what is kept."""
    assert not KEPT.compresses
    assert CUT.compresses


@pytest.mark.parametrize(
    ("mode", "decisions", "compresses"),
    [
        (Mode.ENFORCE, (KEPT, CUT), True),
        (Mode.AUDIT, (CUT,), True),
        (Mode.ENFORCE, (KEPT,), False),
        (Mode.ENFORCE, (), False),
        (Mode.OFF, (CUT,), False),
    ],
)
def test_a_plan_compresses_if_a_decision_does_and_it_is_not_off(
    mode: Mode, decisions: tuple[Decision, ...], compresses: bool
) -> None:
    """Auditing compresses too: it reports what would be saved."""
    assert Plan("p@v", mode, 2.0, decisions).compresses is compresses
