"""Requests that are no conversation, and begin alike: one document, or a few, before ever other questions.

Each request stands for itself, as batch jobs and search boxes send them.
"""

from random import Random

from fakes.talks import Material, Message, Sent, Talk, documents


def separate(
    name: str, material: Material, contents: list[object], *, rules: int = 60, after_s: float = 20.0
) -> Talk:
    """Return requests of a system message and one message each.

    Args:
        contents: of the second messages.
        rules: words of the system message, which all share.
    """
    system: Message = {"role": "system", "content": material.rules(rules)}
    sent: list[Sent] = []
    for content in contents:
        answer: Message = {"role": "assistant", "content": material.answer(30)}
        sent.append(Sent((system, {"role": "user", "content": content}), answer, after_s))
    return Talk(name, tuple(sent))


def one_document(material: Material, requests: int = 10, words: int = 2100) -> Talk:
    """The same prose before ever other questions."""
    document = material.document(words)
    asked = [f"{document}\n\nQuestion: {material.question()}" for _ in range(requests)]
    return separate("one document", material, list(asked))


def long_questions(material: Material, requests: int = 10) -> Talk:
    """The same documents before questions of very different lengths."""
    found = documents(material, 4, 450)
    asked = [f"{found}\n\nQuestion: {wordy(material, 40 * (n % 5))}" for n in range(requests)]
    return separate("long questions", material, list(asked))


def wordy(material: Material, words: int) -> str:
    """Return a question with so many words about who asks it."""
    return f"{material.answer(words) if words else ''} {material.question()}"


def question_first(material: Material, requests: int = 10) -> Talk:
    """The same documents after ever other questions: no prompt begins as another one."""
    found = documents(material, 4, 450)
    asked = [f"Question: {material.question()}\n\n{found}" for _ in range(requests)]
    return separate("question first", material, list(asked))


def pool(material: Material, requests: int = 16, size: int = 4) -> Talk:
    """Each question comes with one of a few handbooks."""
    random = Random(size)
    books = [documents(material, 3, 600) for _ in range(size)]
    asked = [f"{random.choice(books)}\n\nQuestion: {material.question()}" for _ in range(requests)]
    return separate("pool", material, list(asked))


def passages(material: Material, requests: int = 16, size: int = 6) -> Talk:
    """Each question comes with four of a few passages, in an order of its own."""
    random = Random(size)
    found = [f"<document>\n{material.document(400)}\n</document>" for _ in range(size)]
    asked = []
    for _ in range(requests):
        chosen = "\n".join(random.sample(found, 4))
        asked.append(f"{chosen}\n\nQuestion: {material.question()}")
    return separate("passages", material, list(asked))


def all_differ(material: Material, requests: int = 10) -> Talk:
    """Each question comes with documents that no other one has."""
    asked = [f"{documents(material, 4, 450)}\n\nQuestion: {material.question()}" for _ in range(requests)]
    return separate("all differ", material, list(asked))


def marked(material: Material, requests: int = 10) -> Talk:
    """The same documents in a part of their own, which the client marks to be cached."""
    part = {"type": "text", "text": documents(material, 4, 450), "prompt_cache_breakpoint": {}}
    contents: list[object] = [
        [part, {"type": "text", "text": f"Question: {material.question()}"}] for _ in range(requests)
    ]
    return separate("marked", material, contents)


def dated(material: Material, requests: int = 10) -> Talk:
    """A system message with the same handbook and another date each time."""
    rules, found = material.rules(150), documents(material, 3, 600)
    sent: list[Sent] = []
    for number in range(requests):
        system: Message = {"role": "system", "content": f"{rules}\n\n{found}\n\nIt is the {number + 1}th."}
        answer: Message = {"role": "assistant", "content": material.answer(30)}
        asked: Message = {"role": "user", "content": material.question()}
        sent.append(Sent((system, asked), answer))
    return Talk("dated", tuple(sent))


def at_head(material: Material, minimum: int, requests: int = 10) -> Talk:
    """The same prose, a little above a provider's minimum, before questions that are long."""
    document = material.document(int(minimum * 0.9))
    asked = [f"{document}\n\nQuestion: {wordy(material, 150)}" for _ in range(requests)]
    return separate(f"head at {minimum}", material, list(asked))


def rare(material: Material, requests: int = 8) -> Talk:
    """The same documents with hours between the questions."""
    found = documents(material, 4, 450)
    asked = [f"{found}\n\nQuestion: {material.question()}" for _ in range(requests)]
    return separate("rare", material, list(asked), after_s=5 * 3600.0)


def lengthening(material: Material, requests: int = 12) -> Talk:
    """One message that holds more of the same minutes in every request."""
    whole = [material.document(150) for _ in range(requests + 8)]
    asked = []
    for number in range(requests):
        said = "\n\n".join(whole[: number + 8])
        asked.append(f"{said}\n\nQuestion: {material.question()}")
    return separate("lengthening", material, list(asked))


def shared_talks(material: Material) -> list[Talk]:
    """Return requests of every sort."""
    sorts = [one_document, long_questions, question_first, pool, passages, all_differ, marked, dated, rare]
    heads = (at_head(material, minimum) for minimum in (512, 1024, 2048, 4096))
    return [*(sort(material) for sort in sorts), lengthening(material), *heads]
