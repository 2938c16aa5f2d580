"""Orders for the compressor made by hand, and who hears their answers."""

from dataclasses import dataclass, field

from elision.compressors.base import Job, Method, Target
from elision.proxy.wire import Answer, Compress, Failed
from elision.proxy.work_queue import Order

HALVE = Method("halve")


@dataclass
class Listener:
    """Remembers answers in the order in which they came."""

    answers: list[Answer] = field(default_factory=list)

    @property
    def told(self) -> list[tuple[int, str]]:
        """The number of each answered order, with the reason where it failed."""
        return [(a.id, str(a.reason) if isinstance(a, Failed) else "") for a in self.answers]


@dataclass
class Works:
    """Makes orders that arrive at `now` and tell one listener; its clock moves a little when read."""

    now: float = 1000.0
    tick: float = 0.001
    listener: Listener = field(default_factory=Listener)

    def clock(self) -> float:
        self.now += self.tick
        return self.now

    def order(
        self, number: int, tokens: int, *, method: Method = HALVE, beside: int = 0, patience_s: float = 60.0
    ) -> Order:
        """Place an order for a text of so many tokens, different from every other number's."""
        text = (f"{number:04}" * tokens)[: 4 * tokens]
        question = Compress(number, Job(text, method, Target(rate=0.5)), patience_s, beside)
        return Order(question, self.listener.answers.append, self.now, self.now + patience_s)
