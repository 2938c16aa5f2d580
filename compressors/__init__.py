"""Elision's compressors: texts in, shorter texts out, with what was kept and why.

`compress` is the room's front door for those who have one text and no proxy. Importing this
package loads neither numpy nor torch.
"""

from elision.compressors.base import Job, Method, OptionValue, Outcome, Span, Target

__all__ = ["Job", "Method", "Outcome", "Span", "Target", "compress"]


def compress(  # noqa: PLR0913  the front door: every argument after the text is optional
    text: str,
    *,
    method: str = "selective_context",
    rate: float | None = None,
    tokens: int | None = None,
    question: str = "",
    model: str = "",
    protect: tuple[str, ...] | None = None,
    **options: OptionValue,
) -> Outcome:
    """Shorten one text; each call makes the method anew, so use an `Engine` for many.

    Args:
        text: what to shorten.
        method: a name from `elision.compressors.registry.method_names`, or `keep`.
        rate: share of tokens to keep, in (0, 1].
        tokens: tokens to keep, instead of a rate.
        question: what the text will be asked, for methods that look.
        model: who will read the text; chooses the tokenizer that counts.
        protect: names of protected classes; None for all.
        options: the method's own, `level="phrase"` for instance.
    Raises: CompressionError (unknown method or option, missing weights), ValueError for an
        impossible target.
    """
    from elision.compressors.engine import Engine

    target = Target(rate, tokens, model, question, protect)
    job = Job(text, Method(method, tuple(sorted(options.items()))), target)
    return Engine().run([job])[0]
