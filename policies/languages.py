"""Which language a text is written in, where that is plain.

Pure. It reads the same few lines as `text_kinds` does. The script tells the language, or narrows it
to those whose commonest small words are listed here; the words then must speak clearly for one.
A method that was made for one language is not to be given another: a text that mixes languages, is
code, or is too short to tell has no language here, "".
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from elision.policies.text_kinds import plain_lines

LEAST_LETTERS = 20
"""A text of fewer has no language; a Chinese character counts as three."""
LEAST_WORDS = 3
"""So many of a language's small words are needed."""
# Of all words, so many are small words of the language: half of what its prose has at the least.
# In English, half of these may be words of code.
_SHARE = 0.1
# A language must have so many times the words of its own that any other has.
_LEAD = 3
_LATIN_SHARE, _SCRIPT_SHARE = 0.75, 0.7
# Code has more than so many of these to a letter; prose has braces, brackets and signs of equality,
# in transcripts and sums, as often as some code has.
_SYMBOLS = b"[];_\\|"
_SYMBOL_SHARE = 0.03

# Closed-class words: articles, pronouns, prepositions, conjunctions, auxiliaries. A word that several
# languages share stands with each of them, and then speaks for none against the other.
_WORDS = {
    "en": "against within without toward towards upon among across along around although though since until "
    "whether whose whom yet still even ever never nothing something either neither every another much "
    "less least one two three four five six seven eight nine ten first the of to a an that this these "
    "those are was were be been being it its he she they them their his her you your we our us I my "
    "me have had having would could should will can may might must which who what when how why there "
    "here about into than then but because so such some most more many other only also very just "
    "after before between through during over under again both each few own same don didn doesn isn "
    "ll ve re does did up out these and or not in is for if with from as on by at where while has do "
    "all any no else",
    "de": "der die das den dem des ein eine einen einem einer eines und oder aber nicht auch nur noch schon "
    "sehr ist sind war waren wird werden wurde wurden hat haben hatte kann können soll muss ich du er "
    "sie es wir ihr uns sich mit von vom zu zum zur für auf aus bei beim nach über unter durch gegen "
    "ohne um im in am an als wie wenn weil dass daß so man mehr diese dieser dieses bis vor was wer "
    "wo kein keine seine ihre will also alle dann hier doch da ja mir mich nun her",
    "fr": "le la les un une des du de et ou où mais que qui quoi dont ce cet cette ces il elle ils elles on "
    "nous vous je tu se sa son ses leur leurs mon ma est sont était ont a avait être avoir fait peut "
    "pas ne plus pour par sur dans avec sans sous entre vers chez au aux en comme si très aussi bien "
    "tout tous même après avant lorsque parce afin donc ainsi l d qu n j c m à y été or me lui",
    "es": "el la los las un una unos unas de del y e o u pero que qué quien cual no se lo le les su sus mi "
    "me te nos es son era fue fueron ser está están estaba ha han había hay tiene puede para por con "
    "sin sobre entre hasta desde en a al como más muy también ya si sí cuando donde porque este esta "
    "estos estas eso esto ese todo todos otro otra yo él ella ellos he has según cada sin",
    "it": "subito quindi mai sempre adesso oggi ieri senza verso però allora il lo la i gli le un uno una "
    "di del dello della dei degli delle da dal dalla a al alla ai alle e ed o ma che chi cui non si "
    "se ci ne è sono era erano essere ha hanno aveva può deve per con su sul sulla tra fra in nel "
    "nella nei nelle come più anche molto questo questa questi quello quella suo sua loro io noi lei "
    "quando dove perché poi già ogni stato stata l dell all nell un c me no",
    "pt": "o a os as um uma uns umas de do da dos das e ou mas que quem não se lhe seu sua seus suas meu "
    "minha é são era foi foram ser está estão estava tem têm tinha há pode para por pelo pela com sem "
    "sobre entre até desde em no na nos nas ao à aos às como mais muito também já quando onde porque "
    "este esta isso isto esse essa todo todos outro outra eu ele ela eles você nós depois ainda me",
    "nl": "de het een en of maar dat die dit deze er is zijn was waren wordt worden werd werden heeft "
    "hebben had kan kunnen moet zal zou ik je jij hij zij ze we wij u hun haar van voor op in met aan "
    "bij uit naar over onder door tot tegen zonder om als dan toen niet ook nog al wel geen meer veel "
    "te wat wie waar omdat hoe alle andere zo me den",
    "sv": "och att det som en ett är var inte på för med till av den de om han hon vi jag du man sig sin "
    "sina har hade kan ska skulle från men eller när så också efter under över vid utan mellan då här "
    "där vad hur mycket alla blir blev bara mot denna detta dessa i ut nu än",
    "da": "og at det som en et er var ikke på for med til af den de om han hun vi jeg du man sig sin har "
    "havde kan skal skulle vil fra men eller når så også efter under over ved uden mellem da her der "
    "hvor hvad hvordan meget alle bliver blev kun mod denne dette disse i ud nu end to mig noget "
    "nogle",
    "no": "og at det som en et er var ikke på for med til av den de om han hun vi jeg du man seg sin har "
    "hadde kan skal skulle vil fra men eller når så også etter under over ved uten mellom da her der "
    "hvor hva hvordan mye alle blir ble bare mot denne dette disse i ut nå enn meg noe noen både",
    "pl": "i w z na do nie się to że jest są był była było być ma jak co o od po za ze dla przez przy przed "
    "pod nad oraz lub ale czy tak jego jej ich który która które tym tego ten ta te już tylko jeszcze "
    "może można więc gdy kiedy bardzo także też u a by bo we",
    "cs": "a v ve na se je to že s z do o k ke i pro za po od při před pod nad ale nebo když jak co který "
    "která které by byl byla bylo být jsou jako tak už jen také ten ta jeho její jejich není má může "
    "podle až u než",
    "ro": "și în la de pe cu din care nu este sunt un o să se a al ai ale lui că mai pentru prin după până "
    "sau dar ca fi fost era au am avea această acest acesta ce cum când foarte doar între fără le îi "
    "îl lor ei el",
    "hu": "a az és hogy nem is egy van volt vagy de ez ezt azt ami aki mint csak már még meg ha el ki be "
    "fel le lesz lehet kell után előtt között szerint miatt nagyon minden ahol amikor mert úgy így "
    "sem nincs ők én",
    "fi": "ja on ei se että oli ovat olla hän ne mutta tai kun kuin jos myös joka jotka mikä tämä tämän sen "
    "niin vain jo vielä ole mukaan kanssa sekä hänen voi voidaan ollut sitä niiden minä me he koska "
    "siitä nyt sitten",
    "tr": "ve bir bu da de için ile çok daha gibi olarak olan ne var yok ama veya ya o şu her en kadar "
    "sonra önce değil olduğu ancak ki mi mı ben sen biz siz onlar tarafından göre hem bunu üzerinde "
    "ise on",
    "id": "yang dan di ke dari untuk dengan pada adalah ini itu tidak akan oleh dalam sebagai juga atau "
    "telah dapat kami saya mereka ada lebih bisa karena sudah tersebut kepada bahwa secara antara "
    "hanya harus satu",
    "vi": "và của là có không được cho với một các những trong này đã để người khi từ đến như cũng ra thì "
    "mà nhưng hay rất về tại nếu sẽ bị vì theo đó phải trên nhiều",
    "ca": "el la els les un una uns unes de del dels i o però que qui no es se li seu seva és són era va "
    "van ser està ha han havia hi té pot per amb sense sobre entre fins des en a al als com més molt "
    "també ja si quan on perquè aquest aquesta aquests això tot tots altre l d s n",
    "hr": "i u na je se da za su s od koji koja koje to kao ne nije ali ili iz do po pri o a što kako bi "
    "bio bila biti sam smo ima može samo više već još nakon prije između ovaj ova taj te",
    "ru": "кто тут ж надо этот эта эти под через потому ли здесь и в во не на с со что как это по из к ко у "
    "за от о об для до при но а или он она они мы вы я ты его её их был была было были быть есть если "
    "так же бы только уже ещё когда где который которая которые чтобы также после может все всё между",
    "uk": "чи хто тут все ж треба бо цей ця ці під через тому тут і й в у не на з із що як це по до для від "
    "за про при але а або він вона вони ми ви я його її їх був була було були бути є якщо так же би "
    "тільки вже ще коли де який яка які щоб також після може всі між та",
    "be": "і ў не на з што як гэта па да для ад за пра пры але або ён яна яны мы вы я яго яе іх быў была "
    "было былі ёсць калі так жа толькі ужо яшчэ дзе які якая якія каб таксама пасля можа усе",
    "bg": "и в във не на с със че как това по от за до при но а или той тя те ние вие аз му го я са е беше "
    "бъде ако така само вече още когато където който която които да се ще също след може всички между",
    "sr": "и у не на са да се је су за од до по при али а или он она они ми ви ја његов био била било бити "
    "ако тако само већ још када где који која које што као такође после може сви између",
    "ar": "في من على إلى عن أن إن التي الذي الذين هذا هذه ذلك تلك ما لا لم لن كان كانت يكون مع أو ثم بين قد "
    "كل هو هي هم كما بعد قبل عند حتى إذا بعض غير أي يمكن وقد لكن",
    "fa": "و در به از که این را با است آن برای بر تا یک هم نیز یا خود شد شده می های ما او آنها بود باشد "
    "دارد کرد کند نمی ولی اما اگر هر چه پس بین",
    "ur": "اور کے میں کی ہے کا سے کو پر نے یہ وہ ہیں کہ بھی تھا تھی تھے ایک اس ان جو نہیں کر ہو گیا لیے "
    "ساتھ تو یا پھر لیکن اگر",
    "hi": "है हैं के में की का और से को पर ने यह वह कि भी था थी थे एक इस उस जो नहीं कर हो गया लिए साथ तो या "
    "फिर लेकिन अगर क्योंकि हम अपने",
    "mr": "आहे आहेत आणि च्या या हे ही तो ती ते नाही होते होता होती एक मध्ये साठी पण किंवा जर तर काही की व "
    "केले त्या त्यांनी म्हणून आम्ही",
    "ne": "छ छन् र को का मा ले हो यो त्यो पनि थियो थिए एक लागि भने गर्न गरेको छैन तर वा यदि उनी हामी सँग बाट",
}
# Words of English that are also words of programming languages: alone, they make no English.
_KEYWORDS = frozenset(
    (
        "and",
        "or",
        "not",
        "in",
        "is",
        "for",
        "if",
        "with",
        "from",
        "as",
        "on",
        "by",
        "at",
        "where",
        "while",
        "has",
    )
) | frozenset(("do", "all", "any", "no", "else"))
_CODE = "code"

# Scripts of one language, or of a group that its words tell apart.
_BLOCKS = (
    ("el", (0x03, 0x1F)),
    ("cyrillic", (0x04,)),
    ("he hy", (0x05,)),
    ("arabic", (0x06,)),
    ("devanagari bn", (0x09,)),
    ("pa gu", (0x0A,)),
    ("or ta", (0x0B,)),
    ("te kn", (0x0C,)),
    ("ml si", (0x0D,)),
    ("th lo", (0x0E,)),
    ("my ka", (0x10,)),
    ("am", (0x12, 0x13)),
    ("km", (0x17,)),
    ("han", (*range(0x34, 0xA0), 0x30)),
    ("ko", (0x11, *range(0xAC, 0xD8))),
)
_WIDE = frozenset(("han", "ko"))
# Where each letter must be looked at, so many are passed over.
_EVERY = 5
_SECOND = re.compile(
    "[\u0530-\u058f\u0980-\u09ff\u0a80-\u0aff\u0b80-\u0bff\u0c80-\u0cff\u0d80-\u0dff\u0e80-\u0eff\u10a0-\u10ff]"
)
_KANA = re.compile("[\u3041-\u30fa]")
_HAN = re.compile("[\u3400-\u9fff]")
_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def language(text: str) -> str:
    """Return the primary subtag of the language that a text is plainly in, "" if in none."""
    sample = "\n".join(plain_lines(text))
    ascii_part = sample.encode("ascii", "ignore")
    latin = len(ascii_part) - len(ascii_part.translate(None, _LETTERS))
    symbols = len(ascii_part) - len(ascii_part.translate(None, _SYMBOLS))
    scripts = {} if sample.isascii() else _scripts(sample)
    letters = latin + sum(scripts.values())
    if letters < LEAST_LETTERS or symbols > _SYMBOL_SHARE * letters:
        return ""
    if latin >= _LATIN_SHARE * letters:
        return _by_words(sample)
    script = max(scripts, key=lambda name: scripts[name])
    return _by_script(script, sample) if scripts[script] >= _SCRIPT_SHARE * letters else ""


def _scripts(sample: str) -> dict[str, int]:
    """Count a sample's letters by script, but for Latin ones."""
    # The high bytes of UTF-16 are blocks of 256 characters, counted at the speed of memory.
    blocks = sample.encode("utf-16-be", "surrogatepass")[::2].translate(_BLOCK_TABLE)
    counts = {name: blocks.count(number) for number, (name, _) in enumerate(_BLOCKS, start=1)}
    return {name: count * (3 if name in _WIDE else 1) for name, count in counts.items() if count}


def _by_script(script: str, sample: str) -> str:
    if script == "han":
        some = sample[::_EVERY]
        kana, han = len(_KANA.findall(some)), len(_HAN.findall(some))
        return "ja" if 10 * kana > kana + han else "zh"
    first, _, second = script.partition(" ")
    if second and 4 * len(_SECOND.findall(sample[::_EVERY])) > len(sample) // _EVERY:
        return second
    return _by_words(sample) if first in ("cyrillic", "arabic", "devanagari") else first


def _by_words(sample: str) -> str:
    """Return the language whose small words a sample has, if no other's are near."""
    words = sample.replace("'", " ").replace("’", " ").split()
    found = Counter(filter(None, map(_TABLE.get, words)))
    scores = _scores(found, "")
    if not scores:
        return ""
    best = max(scores, key=lambda name: scores[name])
    shared = _scores(found, best)
    plain = scores[best] - shared.get(_CODE, 0)
    least = _SHARE * len(words)
    if scores[best] < least or plain < max(LEAST_WORDS, least / 2):
        return ""
    del scores[best]
    # Words that two languages share speak for neither against the other.
    own = {name: shared[best] - shared.get(name, 0) for name in scores}
    leads = all(own[name] > _LEAD * (score - shared.get(name, 0)) for name, score in scores.items())
    return best if leads else ""


def _scores(found: Mapping[str, int], best: str) -> dict[str, int]:
    """Count each language's words, of those only that are also words of `best`."""
    scores: dict[str, int] = {}
    for joined, count in found.items():
        names = joined.split()
        if not best or best in names:
            for name in names:
                scores[name] = scores.get(name, 0) + count
    if not best:
        scores.pop(_CODE, None)
    return scores


def _table(lists: Mapping[str, str]) -> dict[str, str]:
    """Return for each word, small or with a capital, the languages that it may belong to."""
    table: dict[str, set[str]] = {}
    for name, words in lists.items():
        for word in words.split():
            for form in {word, word[:1].upper() + word[1:]}:
                table.setdefault(form, set()).add(name)
                if name == "en" and word in _KEYWORDS:
                    table[form].add(_CODE)
    # As one string: its hash is kept, that of a tuple is not.
    return {word: " ".join(sorted(names)) for word, names in table.items()}


def _block_table(blocks: Sequence[tuple[str, Sequence[int]]]) -> bytes:
    """Return for each high byte its script's number from 1, 0 for all others."""
    numbers = {byte: number for number, (_, bytes_) in enumerate(blocks, start=1) for byte in bytes_}
    return bytes(numbers.get(byte, 0) for byte in range(256))


_TABLE = MappingProxyType(_table(_WORDS))
_BLOCK_TABLE = _block_table(_BLOCKS)
