"""Selective Context from Python, called as its authors' package is.

`SelectiveContext(model_type, lang)(text, reduce_ratio, reduce_level)` returns what is left and what
was removed. Here `reduce_ratio` is a share of tokens, kept exactly; there it is one of units, whatever
their length. Weights are ours to choose (`model_type` names them), and English is what phrases know.
Source of names and results: Li et al., arXiv:2310.06201; liyucheng09/Selective_Context.
"""

from elision.compressors.base import Job, Method, Span, Target
from elision.compressors.engine import Engine
from elision.compressors.errors import BadOption
from elision.compressors.selective_context import NAME, spelled

_LANGUAGES = ("en", "zh")


class SelectiveContext:
    """Shortens one text at a time.

    Args:
        model_type: weights, as `elision.compressors.weights.resolve` takes them; "": the packaged model.
            The authors' `curie` was a model of OpenAI's that is no more.
        lang: `en` or `zh`, for which words stand in place of phrases.
        engine: to share weights with; None: an own one.
    Raises: BadOption for another language, or `curie`.
    """

    def __init__(self, model_type: str = "", lang: str = "en", engine: Engine | None = None) -> None:
        if lang not in _LANGUAGES:
            raise BadOption(f"lang must be en or zh, not {lang!r}")
        if model_type == "curie":
            raise BadOption("model_type='curie' is no longer to be had; name weights, 'gpt2' for instance")
        self._weights = model_type
        self._lang = lang
        self._engine = engine or Engine()

    def __call__(
        self, text: str, reduce_ratio: float = 0.35, reduce_level: str = "phrase"
    ) -> tuple[str, list[str]]:
        """Return what is left of a text, and the stretches that were removed, in order.

        Args:
            text: to be shortened.
            reduce_ratio: share of tokens that goes, 0 to below 1.
            reduce_level: `sentence` (or `sent`), `phrase`, `word` or `token`.
        Raises: BadOption, WeightsMissing.
        """
        if not 0 <= reduce_ratio < 1:
            raise BadOption(f"reduce_ratio must be from 0 to below 1, not {reduce_ratio}")
        level = "word" if (self._lang, reduce_level) == ("zh", "phrase") else spelled(reduce_level)
        options = {"level": level, **({"weights": self._weights} if self._weights else {})}
        method = Method(NAME, tuple(sorted(options.items())))
        [outcome] = self._engine.run([Job(text, method, Target(rate=1 - reduce_ratio, protect=()))])
        return outcome.text, _removed(text, outcome.kept) if outcome.kept else []


def _removed(text: str, kept: tuple[Span, ...]) -> list[str]:
    """Return what stands between the slices that stayed."""
    starts = [0, *(span.end for span in kept)]
    ends = [*(span.start for span in kept), len(text)]
    pieces = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    return [piece for piece in pieces if piece.strip()]
