"""The words by which prompts mark their parts, in the languages that they are mostly written in.

Pure data, and one function that says what a label means. A label is what stands before a colon at
the head of a line, in a markdown heading, or in a tag; `normal` brings it into the form that the
lists here have. A list is no dictionary: it holds what templates and people really write, and a
word that is missing costs a saving, never an answer, because what nobody marks is kept.
"""

import re
from collections.abc import Sequence
from enum import Enum, auto
from types import MappingProxyType


class Cue(Enum):
    """What a label says of the text below it."""

    NOTHING = auto()
    QUESTION = auto()
    TASK = auto()
    MATERIAL = auto()
    EXAMPLE = auto()


def _set(*words: str) -> frozenset[str]:
    return frozenset(word for group in words for word in group.split())


_QUESTIONS = _set(
    "question questions query queries q frage fragen вопрос вопросы pregunta preguntas pergunta domanda",
    "vraag pytanie soru 问题 問題 问 提问 質問 質問文 질문 سؤال السؤال प्रश्न",
)
_TASKS = _set(
    "task tasks instruction instructions request requests goal objective rules requirements guidelines",
    "format note important remember aufgabe anweisung anweisungen regeln задача",
    "задание инструкция инструкции правила tarea instrucción instrucciones instruções",
    "istruzioni tâche consigne consignes instrukcja",
    "任务 任務 指令 要求 指示 タスク 规则 作业 المهمة التعليمات",
)
_MATERIALS = _set(
    "context contexts document documents doc docs passage passages article articles text texts source",
    "sources transcript transcripts excerpt excerpts snippet snippets chunk chunks references knowledge",
    "faq faqs kontext dokument dokumente quelle quellen контекст документ документы текст источник источники",
    "contexto documento documentos texto textos fuente fuentes contexte texte contesto testo documenti fonti",
    "上下文 背景 参考资料 參考資料 资料 文档 文件 文章 材料 原文 正文 知识库 常见问题",
    "文脈 コンテキスト 資料 文書 本文 参考文献 参考情報 よくある質問 문맥 문서 본문",
    "السياق النص المستندات الوثائق",
)
_TWO_WORDS = frozenset(
    (
        "search results",
        "knowledge base",
        "reference material",
        "background information",
        "frequently asked",
    )
)
# What may stand before the name of a thing, and what makes a sentence of it.
_BEFORE = _set(
    "the here is are these retrieved relevant provided given additional background reference supporting",
    "input source original full user user's customer support my final new current next follow up followup",
    "output response answer",
)
_AFTER = _set("is are was were says say of to must should")
_WORDS = re.compile(r"[^\W\d_]+(?:['’][a-z]+)?")
_LONGEST_LABEL = 6
_MEANINGS = MappingProxyType(
    dict.fromkeys(_TASKS, Cue.TASK)
    | dict.fromkeys(_MATERIALS, Cue.MATERIAL)
    | dict.fromkeys(_QUESTIONS, Cue.QUESTION)
)

_EXAMPLE = re.compile(
    r"(?:few-?shot |training |in-context )?(?:example|exemplar|demonstration|sample|shot"
    "|beispiel|exemple|ejemplo|exemplo|esempio|пример|例|示例|例子|样例|範例|예시|예|مثال)"
    r"[ ]?(?:no\.? ?|#|number )?(?:\d{1,3} ?[:：.)–-].*|\d{0,3})"
)
_EXAMPLE_STARTS = tuple(
    sorted(
        _set(
            "few training in-context example exemplar demonstration sample shot beispiel exemple ejemplo",
            "exemplo esempio пример 例 示例 样例 範例 예 مثال",
        )
    )
)
ANNOUNCES = re.compile(
    r"\b(?:example|exemplar|demonstration|few-?shot|beispiel|exemple|ejemplo|exemplo|esempio|пример)"
    "|示例|例子|样例|以下の例|例を|例:|예시|أمثلة|مثال",
    re.IGNORECASE,
)
"""Says that what follows are examples."""

SPEAKS = re.compile(
    r"\b(?:please|can you|could you|would you|i want|i need|i would like|i'd like|help me|tell me|give me"
    r"|show me|your task|following (?:text|code|article|story|essay|email|list|words|sentences?|script)"
    r"|(?:text|code|article|list|email) below|this (?:code|text|script|article|essay|file|error|email)"
    r"|bitte|por favor|s'il (?:vous|te) pla[iî]t|per favore|пожалуйста|напиши|объясни|ich möchte|quiero"
    r"|je veux|hãy|giúp tôi)\b"
    r"|(?:^|[.!?:]\s{1,3})(?:(?:re)?write|summari[sz]e|explain|translate|create|generate|design|analy[sz]e"
    r"|compare|extract|fix|act as|use|using|answer|make|list|find|describe|review|convert|add|do not)\b"
    "|请|請|帮我|ください|してほしい|해줘|해주세요|من فضلك|أريد|कृपया",
)
"""Speaks, in lower case, to who is to answer; material mostly does not."""
ADDRESSES = re.compile(
    r"\W{0,4}(?:(?:and |now |then |so |also )?(?:please|kindly|can you|could you|would you|will you"
    r"|i (?:want|need|would like|'d like) you to|i'd like you to|help me|your (?:task|job) is|tell me|give me"
    r"|bitte|kannst du|können sie|por favor|puedes|s'il (?:vous|te) pla[iî]t|peux-tu|pouvez-vous"
    r"|per favore|puoi|пожалуйста|hãy)\b|请|請|帮我|幫我|من فضلك|कृपया)",
    re.IGNORECASE,
)
"""Begins a paragraph that asks for something, wherever in a message it stands."""
INSTRUCTS = re.compile(
    r"\W{0,4}(?:(?:assume |imagine |suppose |pretend )?(?:that )?you are|you're|you will|act as"
    r"|i want you to|your (?:task|job|role) is|ignore all|from now on"
    r"|du bist|sie sind|eres|actúa como|tu es|vous êtes|agis comme|ты|вы -|sei un|você é|aja como)\b"
    "|\\W{0,4}(?:你是|您是|你将|请你扮演|あなたは|당신은|أنت )",
    re.IGNORECASE,
)
"""Begins a text that says who is to answer and how, as a system message would."""

INPUTS = _set(
    "q question input text sentence review problem query premise passage tweet statement claim source",
    "prompt instruction comment message title utterance headline article document email ticket",
    "问 问题 問題 输入 輸入 文本 句子 质问 質問 入力 テキスト 問い 질문 입력",
    "frage eingabe вопрос ввод вход",
    "pregunta entrada pergunta domanda ingresso entrée سؤال السؤال مدخل المدخل",
)
"""Labels that begin a demonstration."""
SPEAKERS = _set("user human customer student person you speaker 用户 ユーザー")
"""Labels of who asks in a dialogue; a dialogue is an example only where it is said to be one."""
OUTPUTS = _set(
    "a answer output label sentiment response assistant ai bot agent summary translation result category",
    "class classification reply solution completion target sql code json explanation intent entities",
    "答 答案 回答 输出 輸出 标签 標籤 类别 情感 翻译 出力 答え 解答 感情 ラベル 답 답변 출력",
    "antwort ausgabe",
    "ответ вывод выход respuesta salida resposta saída risposta uscita réponse sortie",
    "إجابة الإجابة جواب الجواب الناتج model",
)
"""Labels that begin what the model is to write."""
ALONE = _set("q question problem 问 问题 問題 質問 질문 frage вопрос pregunta pergunta domanda")
"""Labels that begin a demonstration even where its answer has no label of its own."""
PLAIN = ALONE | SPEAKERS | _set("input query prompt 输入 輸入 入力 입력 eingabe ввод entrada entrée")
"""Labels that begin nothing but a demonstration where they stand in a system message."""

EXAMPLE_TAGS = _set("example demonstration exemplar shot sample few_shot_example")
QUESTION_TAGS = _set(
    "question query user_query user_question instruction instructions task rules request guidelines",
    "output_format format requirements user_request user_instructions important",
)
"""Tags around what is asked: all of it is kept."""
DOCUMENT_TAGS = _set(
    "document doc source passage chunk article snippet excerpt reference search_result result file page",
    "item entry paper webpage retrieved_document",
)
"""Tags around one of several documents."""
MATERIAL_TAGS = DOCUMENT_TAGS | _set(
    "documents docs context contexts sources passages chunks articles snippets excerpts references",
    "search_results results files pages papers knowledge knowledge_base text content contents transcript",
    "report book chapter story paper contract email emails log logs code diff patch data table html",
    "conversation chat_history attachments attachment file_content file_contents files_content",
    "environment_details background retrieved_context retrieved_documents codebase repository policy faq",
    "meeting_transcript meeting minutes notes web_page web_results stack_trace stacktrace svg",
)
"""Tags around material in what a user writes."""
TELLING_TAGS = MATERIAL_TAGS | QUESTION_TAGS
"""Tags that say what is around in a user's message."""
KNOWLEDGE_TAGS = DOCUMENT_TAGS - {"item", "entry", "result", "page", "file"} | _set(
    "documents docs context contexts sources passages chunks articles snippets excerpts references",
    "search_results files knowledge knowledge_base retrieved_context retrieved_documents faq",
)
"""Tags around material in what a system message says, where most tags hold instructions."""

_TAIL = re.compile(r"[ #\[(]*\d+[\])]*$")


def normal(label: str) -> str:
    """Return a label as the sets here have it: no markup, no number at its end, case folded."""
    bare = label.strip("#*_>-•【】[]() \t:：").casefold()
    return bare if bare.isalpha() else _TAIL.sub("", bare).rstrip("*_ ")


def cue(label: str) -> Cue:
    """Return what a normal label says of what follows it."""
    words = label.split(None, _LONGEST_LABEL)
    first = 0
    while first + 1 < len(words) and words[first] in _BEFORE and not _is_material(words[first:]):
        first += 1
    if not words:
        return Cue.NOTHING
    word = words[first]
    if word not in _MEANINGS and not word.isalpha():
        found = _WORDS.match(word)
        word = found[0] if found else ""
    if label.startswith(_EXAMPLE_STARTS) and _EXAMPLE.fullmatch(label):
        return Cue.EXAMPLE
    meaning = _MEANINGS.get(word, Cue.NOTHING)
    if meaning is Cue.NOTHING and _is_material(words[first:]):
        return Cue.MATERIAL
    says = meaning is Cue.MATERIAL and first + 1 < len(words) and words[first + 1] in _AFTER
    return Cue.NOTHING if says else meaning


def _is_material(words: Sequence[str]) -> bool:
    """Whether a label's next two words are a name for material."""
    return len(words) > 1 and f"{words[0]} {words[1]}" in _TWO_WORDS
