"""Documents change places; what stands between them does not, and every stretch knows where it came from."""

from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.arrangement import arranged, placed, sources
from elision.compressors.base import Span
from elision.compressors.documents import cut

TEXT = "Read:\n\n[1] one a\n\n[2] two\n---\n\n[3] three b c\n"


def joined(text: str, spans: tuple[Span, ...]) -> str:
    return "".join(text[span.start : span.end] for span in spans)


def test_documents_go_in_the_order_that_is_asked_for() -> None:
    """Between two of them stands what stood there, whichever they are."""
    found = cut(TEXT)
    assert arranged(TEXT, found, (0, 1, 2)).text == TEXT
    told = arranged(TEXT, found, (2, 0))
    assert told.text == "Read:\n\n[3] three b c\n\n[1] one a\n"
    assert [told.text[span.start : span.end] for span in told.documents] == ["[3] three b c", "[1] one a"]
    assert told.order == (2, 0)


def test_slices_ascend_where_no_document_changes_places() -> None:
    """Also where the first ones are left out: a gap of theirs would stand behind what came after it."""
    text = "\n\n".join(f"[{number}] words of document {number}" for number in range(1, 6))
    told = arranged(text, cut(text), (2, 3, 4))
    starts = [span.start for span in told.slices]
    assert starts == sorted(starts)
    assert told.text == text[text.index("[3]") :]


def test_what_is_kept_is_told_as_slices_of_the_original() -> None:
    """In the order in which they go; neighbours that were neighbours are one."""
    told = arranged(TEXT, cut(TEXT), (1, 2, 0))
    whole = sources(told, [Span(0, len(told.text))])
    assert joined(TEXT, whole) == told.text
    assert len(sources(arranged(TEXT, cut(TEXT), (0, 1, 2)), [Span(0, len(TEXT))])) == 1


@given(st.data())
def test_every_slice_leads_back(data: st.DataObject) -> None:
    """Whatever order, whatever is kept, whatever is looked for."""
    texts = data.draw(st.lists(st.sampled_from(["aé", "漢字 b", "c d", "x"]), min_size=1, max_size=6))
    text = data.draw(st.sampled_from(["", "Head:\n\n"])) + "\n\n".join(
        f"[{number}] {one}" for number, one in enumerate(texts)
    )
    found = cut(text)
    order = data.draw(st.lists(st.sampled_from(range(len(found.documents))), unique=True))
    told = arranged(text, found, order)
    edges = sorted(data.draw(st.sets(st.integers(0, len(told.text)), max_size=8)))
    kept = [Span(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    assert joined(text, sources(told, kept)) == joined(told.text, tuple(kept))
    marks = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    spans = [Span(a, b) for a, b in zip(marks[::2], marks[1::2], strict=False)]
    there = placed(told, spans)
    wanted = {at for span in spans for at in range(span.start, span.end)}
    covered = [at for span in sources(told, there) for at in range(span.start, span.end)]
    every = {at for span in told.slices for at in range(span.start, span.end)}
    assert sorted(covered) == sorted(wanted & every)
