"""Facts about texts are found out once, and not for ever."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from elision.proxy.memo import Memo, name_of


def test_a_fact_is_found_out_once() -> None:
    """Whatever asks for it next is told what was found."""
    memo = Memo(10)
    asked: list[int] = []

    def find() -> int:
        asked.append(1)
        return 0

    assert [memo.fact(("count", "a"), find) for _ in range(3)] == [0, 0, 0]
    assert len(asked) == 1


def test_old_facts_are_let_go_and_used_ones_stay() -> None:
    """The limit holds, and what every turn asks for outlives any number of others."""
    memo = Memo(10)
    for number in range(1000):
        assert memo.fact(number, lambda n=number: n) == number  # type: ignore[misc]
        assert memo.fact("used", lambda n=number: n) == 0  # type: ignore[misc]
        assert len(memo) <= 10


@given(st.lists(st.text(max_size=120), unique=True, max_size=20))
def test_different_texts_have_different_names(texts: list[str]) -> None:
    """Short or long, lone surrogates too; a long text is not kept in its name."""
    names = {name_of(text) for text in texts}
    assert len(names) == len(texts)
    assert all(len(name) <= 48 for name in names)
    assert name_of("\ud800" * 100) != name_of("\ud801" * 100)


def test_threads_may_ask_at_once() -> None:
    """Larger bodies are planned in threads."""
    memo = Memo(50)

    def work(seed: int) -> list[int]:
        return [memo.fact(n % 40, lambda n=n: n % 40) - n % 40 for n in range(seed, seed + 3000)]  # type: ignore[misc]

    with ThreadPoolExecutor(8) as pool:
        wrong = [difference for found in pool.map(work, range(8)) for difference in found if difference]
    assert wrong == []
    assert len(memo) <= 50
