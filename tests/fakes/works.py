"""Requests for the compressor made by hand, and who hears their answers."""

from dataclasses import dataclass, field

from elision.compressors.base import Job, Method, Target
from elision.proxy.wire import Answer, Compress, Failed
from elision.proxy.work_queue import Request

HALVE = Method("halve")


@dataclass
class Listener:
    """Remembers answers in the order in which they came."""

    answers: list[Answer] = field(default_factory=list)

    @property
    def told(self) -> list[tuple[int, str]]:
        """The number of each answered request, with the reason where it failed."""
        return [(a.id, str(a.reason) if isinstance(a, Failed) else "") for a in self.answers]


@dataclass
class Works:
    """Makes requests that arrive at `now` and tell one listener; its clock moves a little when read."""

    now: float = 1000.0
    tick: float = 0.001
    listener: Listener = field(default_factory=Listener)

    def clock(self) -> float:
        self.now += self.tick
        return self.now

    def request(
        self, number: int, *tokens: int, methods: tuple[Method, ...] = (HALVE,), patience_s: float = 60.0
    ) -> Request:
        """Return a request of texts of so many tokens, by the methods in turn."""
        jobs = tuple(
            Job(chr(ord("a") + at) * (4 * size), methods[at % len(methods)], Target(rate=0.5))
            for at, size in enumerate(tokens)
        )
        question = Compress(number, jobs, patience_s)
        return Request(question, self.listener.answers.append, self.now, self.now + patience_s)
