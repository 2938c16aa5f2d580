"""The papers' own test sets, where a user has them: LongBench, MeetingBank, ZeroSCROLLS.

Loaders only. LongBench's figures here are per set and with our prompts; its two sets of code need a
measure of edits and are not read.
"""

from pathlib import Path
from types import MappingProxyType

from elision.config.errors import ConfigError
from elision.evaluation import forms
from elision.evaluation.files import Row, read_json, read_rows, row, rows, text_of, texts_of
from elision.evaluation.model import Form, Item, group_of

_SHORT, _SUMMARY = forms.SHORT_ANSWER, forms.SUMMARY
_LONGBENCH = MappingProxyType(
    {
        **dict.fromkeys(("narrativeqa", "qasper", "multifieldqa_en"), _SHORT),
        **dict.fromkeys(("hotpotqa", "2wikimqa", "musique", "triviaqa"), _SHORT),
        "multifieldqa_zh": forms.CHINESE_ANSWER,
        "dureader": forms.CHINESE_ANSWER,
        **dict.fromkeys(("gov_report", "qmsum", "multi_news", "vcsum", "samsum"), _SUMMARY),
        **dict.fromkeys(("trec", "lsht", "passage_count"), forms.CLASS),
        **dict.fromkeys(("passage_retrieval_en", "passage_retrieval_zh"), forms.CLASS),
    }
)
_ZEROSCROLLS = MappingProxyType(
    {
        **dict.fromkeys(("narrative_qa", "qasper", "musique"), _SHORT),
        **dict.fromkeys(("gov_report", "summ_screen_fd", "qmsum", "squality"), _SUMMARY),
        "quality": forms.CHOICE,
    }
)
_SUMMARISE = "Summarize the text."


def longbench(file: Path, split: str) -> list[Item]:
    """Read one of LongBench's files (Bai et al., arXiv:2308.14508): `context`, `input`, `answers`.

    Raises: ConfigError.
    """
    items: list[Item] = []
    for at, one in enumerate(read_rows(file), 1):
        where = f"{file}:{at}"
        form = _form(text_of(one, "dataset", where), _LONGBENCH, where)
        text, answers = text_of(one, "context", where), texts_of(one, "answers", where)
        question = text_of(one, "input", where) or _SUMMARISE
        items.append(Item(str(at), str(at), text, form, question, answers))
    return items


def zeroscrolls(file: Path, split: str) -> list[Item]:
    """Read one of ZeroSCROLLS's files (Shaham et al., arXiv:2305.14196), by its name.

    `input` is cut at its own indices into document and query; only its validation files have outputs.
    Raises: ConfigError.
    """
    task = file.resolve().parent.name if file.stem in {"validation", "test"} else file.name.split(".")[0]
    form = _form(task, _ZEROSCROLLS, str(file))
    items: list[Item] = []
    for at, one in enumerate(read_rows(file), 1):
        where = f"{file}:{at}"
        whole, answers = text_of(one, "input", where), texts_of(one, "output", where)
        text = whole[slice(*_bounds(one, "document", where))]
        question = whole[slice(*_bounds(one, "query", where))].strip() or _SUMMARISE
        items.append(Item(str(at), group_of(text), text, form, question, answers))
    return items


def meetingbank(file: Path, split: str) -> list[Item]:
    """Read MeetingBank's transcripts with the questions that LLMLingua-2's authors published.

    A list of `prompt` and `QA_pairs`, or an object of such (Hu et al., arXiv:2305.17529;
    Pan et al., arXiv:2403.12968, section 4). Raises: ConfigError.
    """
    found = read_json(file)
    meetings = rows(list(found.values()) if isinstance(found, dict) else found, str(file))
    items: list[Item] = []
    for at, meeting in enumerate(meetings, 1):
        where = f"{file}: meeting {at}"
        text = text_of(meeting, "prompt", where)
        for number, pair in enumerate(rows(meeting.get("QA_pairs"), f"{where}: `QA_pairs`"), 1):
            asked = row(pair, where)
            question, answer = text_of(asked, "question", where), text_of(asked, "answer", where)
            items.append(Item(f"{at}.{number}", str(at), text, _SHORT, question, (answer,)))
    return items


def _form(task: str, known: MappingProxyType[str, Form], where: str) -> Form:
    if task not in known:
        raise ConfigError([f"{where}: no form for {task!r}; known: {', '.join(sorted(known))}"])
    return known[task]


def _bounds(one: Row, part: str, where: str) -> tuple[int, int]:
    ends = one.get(f"{part}_start_index"), one.get(f"{part}_end_index")
    if not isinstance(ends[0], int) or not isinstance(ends[1], int):
        raise ConfigError([f"{where}: `{part}_start_index` and `{part}_end_index` must be numbers"])
    return ends[0], ends[1]
