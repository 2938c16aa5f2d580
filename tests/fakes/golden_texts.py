"""Sentences of our own in twelve languages, and sets of the reference's options."""

from typing import Any

SENTENCES = [
    "The council said that the report of 12 May 1987 is on the table, and that it will be read again.",
    'A motion was made by Mr. Smith: "the budget (item 4-b) is not what it was!" All voted for it...',
    "Reports may be filed by anyone; 3.5% of them were late, he said — but who would know?",
    "Der Ausschuß hat den Bericht über das Budget am Montag nicht gelesen, weil er zu lang war.",
    "Le conseil a dit que le rapport n'était pas prêt : « il faudra l'écrire à nouveau », dit-il.",
    "El comité votó la moción en dos minutos. ¿Quién la había leído? ¡Nadie!",
    "Комитет не читал доклад о бюджете города, и это было первое заседание за год.",
    "我们一年来第一次在这里说到他们的报告。大家都说：要去看看！",
    "この報告は一年に一度だけ出る。だれも読まない。",
    "لم يقرأ المجلس التقرير لأنه كان طويلا جدا.",
    "הוועדה לא קראה את הדוח.",
    "समिति ने रिपोर्ट नहीं पढ़ी।",
    "위원회는 보고서를 읽지 않았다.",
    "Ο δήμος δεν διάβασε την έκθεση.",
    "Ok 😀👍🏽 see https://example.org/a?b=1#c or call foo_bar(x, y) -> z; path is /usr/bin [2] {x}.",
    "\n\nItem one:\n- the first\n- the second\n\n\nThe answer is 42.\n",
]

OPTIONS: list[dict[str, Any]] = [
    {"rate": 0.5},
    {"rate": 0.33, "force_tokens": ["\n", "?", "!", "."], "drop_consecutive": True},
    {"rate": 0.7, "force_reserve_digit": True, "token_to_word": "first"},
    {"target_token": 60, "force_tokens": ["+", "-", "*", "×", "/", "÷", "=", "The answer is", "\n"]},
    {"rate": 0.2, "chunk_end_tokens": [".", "\n", "。"], "force_tokens": ["。", "?"]},
    {"rate": 1.0, "force_tokens": ["The answer is"]},
    {"rate": 0.5, "use_context_level_filter": True},
    {"target_token": 40, "use_context_level_filter": True, "force_context_ids": [0], "force_tokens": ["."]},
    {"rate": 0.6, "use_context_level_filter": True, "target_context": 2, "drop_consecutive": True},
]


def golden_contexts(first: int, last: int, options: int) -> list[str]:
    """Return the contexts of a golden case: sentences one by one where contexts are filtered."""
    found = SENTENCES[first:last]
    return found if OPTIONS[options].get("use_context_level_filter") else [" ".join(found)]
