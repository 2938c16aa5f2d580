"""Conversations as clients hold them: every request whole, with the time before it and its answer.

How a conversation goes does not depend on what it is about: `Material` supplies texts, made up
(`fakes.author`) or read from somewhere. Assistants' answers are part of a conversation, so that it
goes on alike however its prompts were sent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Message = dict[str, Any]

PAUSE_S = 20.0
"""Between two requests, unless a conversation says otherwise."""


class Material(Protocol):
    """Texts to fill conversations with; each call returns another one, of about so many words."""

    def rules(self, words: int) -> str:
        """Return a system message."""
        ...

    def question(self) -> str:
        """Return a short request of a user."""
        ...

    def answer(self, words: int) -> str:
        """Return what an assistant says."""
        ...

    def document(self, words: int) -> str:
        """Return prose of one document."""
        ...

    def example(self, words: int) -> tuple[str, str]:
        """Return a question and its answer, as a demonstration."""
        ...

    def result(self, words: int) -> str:
        """Return what a tool may say: JSON, a log, code, a page."""
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """One request.

    Attributes:
        messages: all of them.
        answer: what the assistant says to it.
        after_s: seconds since the request before.
    """

    messages: tuple[Message, ...]
    answer: Message
    after_s: float = PAUSE_S


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation, or several that begin alike."""

    name: str
    requests: tuple[Sent, ...]
    tools: tuple[Message, ...] = ()


@dataclass(slots=True)
class Talking:
    """A conversation while it is held.

    Attributes:
        said: the messages so far.
    """

    material: Material
    said: list[Message] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)

    def say(self, role: str, content: Any, **others: str) -> None:
        """Add a message."""
        self.said.append({"role": role, "content": content, **others})

    def ask(
        self, words: int = 60, *, after_s: float = PAUSE_S, calls: str = "", hears: str | None = None
    ) -> None:
        """Send what was said and hear the answer: `hears`, so many words, or a call of the tool `calls`."""
        said = self.material.answer(words) if hears is None else hears
        answer: Message = {"role": "assistant", "content": said}
        if calls:
            function = {"name": calls, "arguments": f'{{"page": {len(self.said)}}}'}
            call = {"id": f"call_{len(self.said)}", "type": "function", "function": function}
            answer = {"role": "assistant", "content": None, "tool_calls": [call]}
        self.sent.append(Sent(tuple(self.said), answer, after_s))
        self.said.append(answer)

    def again(self, *, after_s: float = 2.0) -> None:
        """Send the last request once more, as after a broken connection; the answer is the same."""
        last = self.sent[-1]
        self.sent.append(Sent(last.messages, last.answer, after_s))

    def back_to(self, number: int) -> None:
        """Forget everything after the first `number` messages."""
        del self.said[number:]

    def result(self, words: int) -> None:
        """Add what the tool answered that was called last."""
        call = self.said[-1]["tool_calls"][0]
        self.say("tool", self.material.result(words), tool_call_id=call["id"])

    def as_talk(self, name: str, tools: Sequence[Message] = ()) -> Talk:
        """Return what was held."""
        return Talk(name, tuple(self.sent), tuple(tools))


def documents(material: Material, number: int, words: int) -> str:
    """Return some documents in one text, as retrieval puts them into a prompt."""
    found = (material.document(words) for _ in range(number))
    return "\n".join(f"<document>\n{text}\n</document>" for text in found)


def chat(material: Material, turns: int = 30) -> Talk:
    """Questions and answers; now and then the user pastes something long."""
    talking = Talking(material)
    talking.say("system", material.rules(60))
    for turn in range(turns):
        pasted = turn % 4 == 1
        text = f"{material.document(700)}\n\n{material.question()}" if pasted else material.question()
        talking.say("user", text)
        talking.ask(90)
    return talking.as_talk("chat")


_TOOLS = tuple(
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Use it to {name} what the task needs, one page at a time.",
            "parameters": {
                "type": "object",
                "properties": {"page": {"type": "integer", "description": "counted from 0"}},
                "required": ["page"],
            },
        },
    }
    for name in ("read", "search", "run", "fetch")
)


def agent(material: Material, steps: int = 24) -> Talk:
    """One task, many tools: their results are most of the prompt."""
    talking = Talking(material)
    talking.say("system", material.rules(150))
    talking.say("user", material.question())
    for step in range(steps):
        talking.ask(calls=("read", "search", "run", "fetch")[step % 4], after_s=5.0)
        talking.result((200, 500, 900, 350)[step % 4])
    talking.ask(150)
    return talking.as_talk("agent", _TOOLS)


def rag(material: Material, turns: int = 12) -> Talk:
    """Every question brings its own documents."""
    talking = Talking(material)
    talking.say("system", material.rules(50))
    for _ in range(turns):
        talking.say("user", f"{documents(material, 4, 180)}\n\nQuestion: {material.question()}")
        talking.ask(60)
    return talking.as_talk("rag")


def long_system(material: Material, turns: int = 15) -> Talk:
    """Much in the system message, little in each turn."""
    talking = Talking(material)
    knowledge = documents(material, 5, 400)
    talking.say("system", f"{material.rules(400)}\n\n{knowledge}")
    for _ in range(turns):
        talking.say("user", material.question())
        talking.ask(40)
    return talking.as_talk("long system")


def at_minimum(material: Material, minimum: int, turns: int = 10) -> Talk:
    """Begins a little above a provider's minimum, of which its document is the most."""
    talking = Talking(material)
    talking.say("system", material.rules(60))
    text = f"{material.document(int(minimum * 0.72))}\n\n{material.question()}"
    talking.say("user", text)
    talking.ask(30)
    for _ in range(turns - 1):
        talking.say("user", material.question())
        talking.ask(30)
    return talking.as_talk(f"at {minimum}")


def growing(material: Material, turns: int = 16) -> Talk:
    """Begins far below every minimum and passes one after the other, by a document in every turn."""
    talking = Talking(material)
    talking.say("system", material.rules(40))
    for _ in range(turns):
        talking.say("user", f"{material.document(300)}\n\n{material.question()}")
        talking.ask(40)
    return talking.as_talk("growing")


def few_shot(material: Material, requests: int = 12) -> Talk:
    """The same examples before ever other questions; no conversation at all."""
    talking = Talking(material)
    talking.say("system", material.rules(80))
    for _ in range(6):
        question, answer = material.example(300)
        talking.say("system", question, name="example_user")
        talking.say("system", answer, name="example_assistant")
    head = len(talking.said)
    for _ in range(requests):
        talking.back_to(head)
        talking.say("user", material.question())
        talking.ask(30)
    return talking.as_talk("few-shot")


def same_document(material: Material, requests: int = 8) -> Talk:
    """The same document before ever other questions, in one message; no conversation at all."""
    talking = Talking(material)
    talking.say("system", material.rules(80))
    document = documents(material, 3, 700)
    for _ in range(requests):
        talking.back_to(1)
        talking.say("user", f"{document}\n\nQuestion: {material.question()}")
        talking.ask(30)
    return talking.as_talk("same document")


def edited(material: Material, turns: int = 12) -> Talk:
    """A user who changes what was said, has answers made again, and whose connection breaks."""
    talking = Talking(material)
    talking.say("system", material.rules(60))
    for turn in range(turns):
        text = f"{material.document(500)}\n\n{material.question()}" if turn % 2 else material.question()
        talking.say("user", text)
        talking.ask(60)
        if turn % 4 == 1:
            talking.again()
        if turn % 4 == 2:  # another answer to the same question
            talking.back_to(len(talking.said) - 1)
            talking.ask(70)
        if turn % 4 == 3:  # another question in place of the one before the last
            talking.back_to(len(talking.said) - 4)
            talking.say("user", f"{material.document(400)}\n\n{material.question()}")
            talking.ask(60)
    return talking.as_talk("edited")


def pauses(material: Material, turns: int = 12) -> Talk:
    """A user who comes back after minutes, and after hours."""
    talking = Talking(material)
    talking.say("system", material.rules(100))
    for turn in range(turns):
        talking.say("user", f"{material.document(450)}\n\n{material.question()}")
        talking.ask(60, after_s=(20.0, 400.0, 2400.0, 30.0, 6 * 3600.0)[turn % 5])
    return talking.as_talk("pauses")


def window(material: Material, turns: int = 14) -> Talk:
    """A client that sends the system message and the last six messages only."""
    talking = Talking(material)
    talking.say("system", material.rules(900))
    sent: list[Sent] = []
    for turn in range(turns):
        text = f"{material.document(400)}\n\n{material.question()}" if turn % 3 == 0 else material.question()
        talking.say("user", text)
        talking.ask(60)
        whole = talking.sent[-1]
        kept = (whole.messages[0], *whole.messages[1:][-7:])
        sent.append(Sent(kept, whole.answer, whole.after_s))
    return Talk("window", tuple(sent))


MINIMA = (512, 1024, 2048, 4096)


def all_talks(material: Material) -> list[Talk]:
    """Return one conversation of every sort."""
    held: list[Callable[[Material], Talk]] = [chat, agent, rag, long_system, growing, few_shot]
    held += [same_document, edited, pauses, window]
    return [*(hold(material) for hold in held), *(at_minimum(material, minimum) for minimum in MINIMA)]
