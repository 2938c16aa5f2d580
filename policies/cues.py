"""The words by which prompts mark their parts, in the languages that they are mostly written in.

Pure data, and one function that says what a label means. A label is what stands before a colon at
the head of a line, in a markdown heading, or in a tag; `normal` brings it into the form that the
lists here have. A list is no dictionary: it holds what templates and people really write, and a
word that is missing costs a saving, never an answer, because what nobody marks is kept.
"""

import re
from enum import Enum, auto


class Cue(Enum):
    """What a label says of the text below it."""

    NOTHING = auto()
    QUESTION = auto()
    TASK = auto()
    MATERIAL = auto()
    EXAMPLE = auto()


def _any(*words: str) -> str:
    return "|".join(word for group in words for word in group.split())


_QUESTIONS = _any(
    "questions? query queries q frage frages вопрос pregunta pergunta domanda vraag pytanie soru",
    "问题 問題 问 提问 質問 質問文 질문 سؤال السؤال प्रश्न",
)
_TASKS = _any(
    "tasks? instructions? requests? goal objective rules requirements guidelines format note important",
    "remember aufgabe anweisung anweisungen regeln задача задание инструкция инструкции правила tarea",
    "instrucción instrucciones instruções istruzioni tâche consigne consignes instrukcja",
    "任务 任務 指令 要求 指示 タスク 规则 作业 المهمة التعليمات",
)
_MATERIALS = _any(
    "contexts? documents? docs passages? articles? texts? sources? transcripts? excerpts? snippets? chunks?",
    "references knowledge kontext dokumente? quellen? контекст документы? текст источники? contexto",
    "documentos? textos? fuentes? contexte texte contesto testo documenti fonti kontekst",
    "上下文 背景 参考资料 參考資料 资料 文档 文件 文章 材料 原文 正文",
    "文脈 コンテキスト 資料 文書 本文 参考文献",
    "문맥 문서 본문 السياق النص المستندات الوثائق",
)
# What may stand before the name of the material, and what it may be called in two words.
_BEFORE = (
    "(?:(?:the|here|is|are|retrieved|relevant|provided|given|additional|background|reference|supporting|input"
    "|source|original|full|user|customer|support|my|final|new|current|next|follow-?up) ){0,4}"
)
_TWO_WORDS = (
    "search[ _]results?|knowledge[ _]base|reference material|background information"
    "|frequently asked questions|faqs?|知识库|常见问题|よくある質問"
)

_QUESTION = re.compile(rf"{_BEFORE}(?:{_QUESTIONS})(?!\w)")
_TASK = re.compile(rf"{_BEFORE}(?:output |response |answer )?(?:{_TASKS})(?!\w)")
_MATERIAL = re.compile(rf"{_BEFORE}(?:{_TWO_WORDS}|{_MATERIALS})(?!\w)(?! (?:is|are|was|says|of|to)\b)")
_EXAMPLE = re.compile(
    r"(?:few-?shot |training |in-context )?(?:example|exemplar|demonstration|sample|shot"
    "|beispiel|exemple|ejemplo|exemplo|esempio|пример|例|示例|例子|样例|範例|예시|예|مثال)"
    r"[ ]?(?:no\.? ?|#|number )?(?:\d{1,3} ?[:：.)–-].*|\d{0,3})"
)
ANNOUNCES = re.compile(
    r"\b(?:example|exemplar|demonstration|few-?shot|beispiel|exemple|ejemplo|exemplo|esempio|пример)"
    "|示例|例子|样例|以下の例|例を|例:|예시|أمثلة|مثال",
    re.IGNORECASE,
)
"""Says that what follows are examples."""

INPUTS = frozenset(
    _any(
        "q question input text sentence review problem query premise passage tweet statement claim source",
        "prompt instruction comment message title utterance headline article document email ticket",
        "问 问题 問題 输入 輸入 文本 句子 质问 質問 入力 テキスト 問い 질문 입력",
        "frage eingabe вопрос ввод вход",
        "pregunta entrada pergunta domanda ingresso entrée سؤال السؤال مدخل المدخل",
    ).split("|")
)
"""Labels that begin a demonstration."""
SPEAKERS = frozenset(_any("user human customer student person you speaker 用户 ユーザー").split("|"))
"""Labels of who asks in a dialogue; a dialogue is an example only where it is said to be one."""
OUTPUTS = frozenset(
    _any(
        "a answer output label sentiment response assistant ai bot agent summary translation result category",
        "class classification reply solution completion target sql code json explanation intent entities",
        "答 答案 回答 输出 輸出 标签 標籤 类别 情感 翻译 出力 答え 解答 感情 ラベル 답 답변 출력",
        "antwort ausgabe",
        "ответ вывод выход respuesta salida resposta saída risposta uscita réponse sortie",
        "إجابة الإجابة جواب الجواب الناتج model",
    ).split("|")
)
"""Labels that begin what the model is to write."""
ALONE = frozenset(
    _any("q question problem 问 问题 問題 質問 질문 frage вопрос pregunta pergunta domanda").split("|")
)
"""Labels that begin a demonstration even where its answer has no label of its own."""
PLAIN = (
    ALONE
    | SPEAKERS
    | frozenset(_any("input query prompt 输入 輸入 入力 입력 eingabe ввод entrada entrée").split("|"))
)
"""Labels that begin nothing but a demonstration where they stand in a system message."""

EXAMPLE_TAGS = frozenset(_any("example demonstration exemplar shot sample few_shot_example").split("|"))
QUESTION_TAGS = frozenset(
    _any(
        "question query user_query user_question instruction instructions task rules request guidelines",
        "output_format format requirements user_request user_instructions important",
    ).split("|")
)
"""Tags around what is asked: all of it is kept."""
DOCUMENT_TAGS = frozenset(
    _any(
        "document doc source passage chunk article snippet excerpt reference search_result result file page",
        "item entry paper webpage retrieved_document",
    ).split("|")
)
"""Tags around one of several documents."""
MATERIAL_TAGS = DOCUMENT_TAGS | frozenset(
    _any(
        "documents docs context contexts sources passages chunks articles snippets excerpts references",
        "search_results results files pages papers knowledge knowledge_base text content contents transcript",
        "report book chapter story paper contract email emails log logs code diff patch data table html",
        "conversation chat_history attachments attachment file_content file_contents files_content",
        "environment_details background retrieved_context retrieved_documents codebase repository policy faq",
        "meeting_transcript meeting minutes notes web_page web_results stack_trace stacktrace svg",
    ).split("|")
)
"""Tags around material in what a user writes."""
KNOWLEDGE_TAGS = DOCUMENT_TAGS - {"item", "entry", "result", "page", "file"} | frozenset(
    _any(
        "documents docs context contexts sources passages chunks articles snippets excerpts references",
        "search_results files knowledge knowledge_base retrieved_context retrieved_documents faq",
    ).split("|")
)
"""Tags around material in what a system message says, where most tags hold instructions."""

_TAIL = re.compile(r"[ #\[(]*\d+[\])]*$")


def normal(label: str) -> str:
    """Return a label as the sets here have it: no markup, no number at its end, case folded."""
    bare = label.strip("#*_>-•【】[]() \t").casefold()
    return _TAIL.sub("", bare).rstrip("*_ ") if not bare.isalpha() else bare


def cue(label: str) -> Cue:
    """Return what a normal label says of what follows it."""
    if _EXAMPLE.fullmatch(label):
        return Cue.EXAMPLE
    for pattern, meaning in ((_QUESTION, Cue.QUESTION), (_MATERIAL, Cue.MATERIAL), (_TASK, Cue.TASK)):
        if pattern.match(label):
            return meaning
    return Cue.NOTHING
