"""What a request's headers ask for."""

import pytest

from elision.policies.model import Mode, Permissions, Wish
from elision.proxy.headers import Headers
from elision.proxy.wishes import permitted, wish_of


@pytest.mark.parametrize(
    ("headers", "wish"),
    [
        ([], Wish()),
        ([("X-Elision", "off")], Wish(Mode.OFF)),
        ([("x-elision", " Audit ")], Wish(Mode.AUDIT)),
        ([("x-elision", "explain")], Wish(explain=True)),
        ([("x-elision", "audit, explain")], Wish(Mode.AUDIT, explain=True)),
        ([("x-elision", "audit"), ("x-elision", "off")], Wish(Mode.OFF)),
        ([("x-elision-rate", "0.5")], Wish(rate=0.5)),
        ([("x-elision-rate", ".25")], Wish(rate=0.25)),
        ([("x-elision-rate", "1")], Wish(rate=1.0)),
        ([("x-elision-team", "search"), ("authorization", "off")], Wish()),
    ],
)
def test_wishes_are_read(headers: Headers, wish: Wish) -> None:
    """Names in any case, words with commas between."""
    assert wish_of(headers) == (wish, ())


@pytest.mark.parametrize(
    ("headers", "wish"),
    [
        ([("x-elision", "of")], Wish()),
        ([("x-elision", "")], Wish()),
        ([("x-elision", "audit, loud")], Wish(Mode.AUDIT)),
        *(
            ([("x-elision-rate", rate)], Wish())
            for rate in ("0", "0.0", "-0.5", "1.5", "50%", "nan", "inf", "1e-1", "", "0.5;", "\u0660.5")
        ),
        ([("x-elision-rate", "0.5"), ("x-elision-rate", "0.6")], Wish()),
        ([("x-elision", "off"), ("x-elision-rate", "x")], Wish(Mode.OFF)),
    ],
)
def test_what_is_malformed_is_passed_over_and_told(headers: Headers, wish: Wish) -> None:
    """The rest counts; the reason comes back to the client."""
    assert wish_of(headers) == (wish, ("bad_wish",))


ALL = Wish(Mode.AUDIT, explain=True, rate=0.5)


@pytest.mark.parametrize(
    ("wish", "permissions", "left"),
    [
        (ALL, Permissions(rate=True), ALL),
        (ALL, Permissions(), Wish(Mode.AUDIT, explain=True)),
        (ALL, Permissions(rate=True, audit=False), Wish(None, explain=True, rate=0.5)),
        (ALL, Permissions(rate=True, explain=False), Wish(Mode.AUDIT, rate=0.5)),
        (Wish(Mode.OFF), Permissions(off=False), Wish()),
        (Wish(Mode.OFF), Permissions(audit=False), Wish(Mode.OFF)),
    ],
)
def test_a_policy_says_which_wishes_count(wish: Wish, permissions: Permissions, left: Wish) -> None:
    """What is refused is told, so that nobody wonders."""
    notes = () if left == wish else ("wish_refused",)
    assert permitted((wish, ()), permissions) == (left, notes)
