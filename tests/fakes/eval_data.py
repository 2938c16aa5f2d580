"""A tiny data folder with every set that `make eval` reads; all of it made up here."""

import json
from collections.abc import Iterable
from pathlib import Path

_TEXTS = (
    (
        "The lighthouse at Cape Verran was built in 1874 by Ada Holm, who had never before seen the sea and "
        "who asked that no visitor be turned away from its door in bad weather."
    ),
    (
        "In the spring the orchard of Brother Anselm gives plums, quinces and small sour apples, which the "
        "monks of Tarn press into a cider that they sell to nobody but the bishop of Orlec."
    ),
    (
        "After eleven years the ferry from Sund to Marrow was replaced by a bridge of red iron, for which "
        "the council paid 40,000 crowns, though the ferryman Jory Tamsin rowed on for another winter."
    ),
)
_ASKED = (
    ("Who built it?", "Ada Holm"),
    ("Who buys the cider?", "the bishop of Orlec"),
    ("Who rowed on?", "Jory Tamsin"),
)
# Rows of Natural Questions up to here are for training and developing.
_BEFORE_TEST = 1700


def data_folder(folder: Path) -> Path:
    """Write the sets below a folder and return it."""
    passages = [
        {"question": question, "answers": [answer], "ctxs": [{"text": text}]}
        for text, (question, answer) in zip(_TEXTS, _ASKED, strict=True)
    ]
    _write(folder / "nq_open/oracle_passages.jsonl", [passages[0]] * _BEFORE_TEST + passages)
    documents = [
        {"input": " ".join(_TEXTS[at:] + _TEXTS[:at]), "instructions": [question], "outputs": [answer]}
        for at, (question, answer) in enumerate(_ASKED)
    ]
    for name in ("scientific_qa", "topic_retrieval_longchat"):
        _write(folder / f"long_documents/{name}.jsonl", documents)
    shortened = [{"text": text, "summaries": [" ".join(text.split()[:10])]} for text in _TEXTS]
    for name in ("broadcast", "bnc"):
        _write(folder / f"sentence_compression/{name}.jsonl", shortened)
    return folder


def _write(file: Path, rows: Iterable[object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
