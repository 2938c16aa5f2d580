"""Work in a thread of its own."""

import threading

from elision.accounts.repeating import Repeating


def test_work_is_repeated_until_the_end_and_done_once_more() -> None:
    """By another thread than the one that ends it."""
    seen: list[tuple[str, bool]] = []
    thrice = threading.Event()

    def work() -> None:
        seen.append((threading.current_thread().name, repeating.is_ending))
        if len(seen) == 3:
            thrice.set()

    repeating = Repeating("elision-test", 0.001, work)
    repeating.start()
    assert thrice.wait(60)
    repeating.end()
    done = len(seen)
    assert {name for name, _ in seen} == {"elision-test"}
    assert seen[-1][1], "what came during the last time is done too"
    repeating.end()
    assert len(seen) == done, "an end is an end"


def test_what_was_never_started_is_done_at_the_end() -> None:
    """Nothing that was taken is left."""
    seen: list[str] = []
    Repeating("elision-test", 60, lambda: seen.append(threading.current_thread().name)).end()
    assert seen == [threading.current_thread().name]
