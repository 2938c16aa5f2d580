"""Words that change what a sentence says: units, months, negations, quantifiers, by language.

This module owns lists, as parts of patterns, and refuses all else: `elision.compressors.protect` makes
finders of them. Languages that write spaces have whole words here, with their common endings;
Chinese, Japanese and Thai have strings that may stand anywhere.
"""

# Neither side may be a letter that words are made of where spaces part them. Python's \w leaves out
# the vowel signs of Indic scripts, and takes in Han and Kana, which stand beside numbers unspaced.
STARTS = r"(?<![A-Za-z0-9_])"
ENDS = r"(?![A-Za-z0-9_])"
WORD_ENDS = r"(?![\w\u0900-\u0963\u0971-\u0dff])"

MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?"
    r"|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?"
    r"|Januar|Februar|März|Mai|Juni|Juli|Oktober|Dezember"
    r"|janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre"
    r"|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre"
    r"|января|февраля|марта|апреля|мая|июня|июля|августа|сентября|октября|ноября|декабря)"
)

_SPACED_UNITS = (
    r"%|‰|٪|°\s?[CFK]?|[kKMGTP]i?[bB](?:/s)?|[munkMG]?(?:m|g|s|W|V|A|Hz|J|L|l)|cm|mm|km|kg|mg|µm|μs|ms|ns|min"
    r"|h|hrs?|hours?|minutes?|seconds?|days?|weeks?|months?|years?|mph|km/h|ft|in|lbs?|oz|px|x"
    r"|percent|per cent|thousand|million|billion|trillion|dollars?|euros?|pounds?|USD|EUR|GBP|JPY|CNY"
    r"|[€$£¥₹₽₩₪฿]"
    r"|Prozent|Tausend|Millionen|Million|Mio\.?|Milliarden?|Mrd\.?|Jahre?n?|Tage?n?|Stunden?|Uhr"
    r"|pour cent|mille|millions?|milliards?|ans|années?|jours?|heures?"
    r"|por ciento|mil|millones|millón|milhões|milhão|bilhões|años?|días?|horas?|milioni|milione|miliardi"
    r"|тыс\.?|тысяч[аи]?|млн\.?|миллион(?:ов|а)?|млрд\.?|миллиард(?:ов|а)?|процент(?:ов|а)?|руб(?:лей|ля|ль)?\.?"
    r"|км|кг|см|мм|м|г|год(?:а|у)?|лет|дн(?:ей|я)|час(?:ов|а)?|минут[аы]?"
    r"|εκατομμύρια|δισεκατομμύρια|χιλιάδες|ευρώ|χρόνια|τοις εκατό|χλμ\.?"
    r"|مليون|ملايين|مليار|ألف|آلاف|دولار|كم|كيلومتر|بالمئة|في المئة|سنة|سنوات|عاما?|يوما?|ساعات?"
    r"|מיליון|מיליארד|אלף|שקלים|ק\"מ|אחוז(?:ים)?|שנים|ימים|שעות"
    r"|लाख|करोड़|हज़ार|हजार|रुपये|रुपए|किमी|किलोमीटर|प्रतिशत|साल|वर्ष|दिन|घंटे"
    r"|მილიონი|მილიარდი|ათასი|პროცენტი|ლარი|კმ|წელი|միլիոն|միլիարդ|հազար|տոկոս|դրամ|կմ|տարի"
)
_UNSPACED_UNITS = (
    r"[万萬亿億兆千百]*(?:公里|公斤|公分|公尺|小时|小時|分钟|分鐘|時間|か月|ヶ月|个月|個月|キロ|メートル|グラム|パーセント"
    r"|[万萬亿億兆千百元圆圓円块塊年月日号號时時点點分秒个個人次岁歳歲度米克吨噸倍折回台本件名匹枚匁％])"
    r"|[만억조천백]*(?:킬로미터|퍼센트|[만억조천백년월일시분초원명개회살])"
    r"|(?:แสน|ล้าน|พัน|หมื่น|ร้อย)*(?:แสน|ล้าน|พัน|หมื่น|ร้อย|บาท|กิโลเมตร|กิโลกรัม|เมตร|ปี|เดือน|วัน|ชั่วโมง|นาที|คน)"
)
NUMBER = (
    r"(?<![A-Za-z0-9_.])[-+±~≈<>≤≥]?[€$£¥₹₽₩₪฿]?(?>\d+(?:[.,:/'’٫٬]\d+)*+)(?:[eE][-+]?\d++)?"
    rf"(?:st|nd|rd|th)?(?:[ \u00a0\u202f]?(?:(?:{_SPACED_UNITS}){WORD_ENDS}|{_UNSPACED_UNITS}))?"
)
# Numbers in Chinese signs: two signs or more, or one with a unit; 一 alone stands in many a word.
HAN_NUMBER = (
    rf"第?[〇零一二三四五六七八九十百千万萬亿億兆两兩]{{2,40}}+(?:{_UNSPACED_UNITS})?|第[一二三四五六七八九十]"
    r"|[一二三四五六七八九十两兩](?:[年月日元円]|公里|小时|小時|時間)"
)

NEGATIONS = (
    "no, not, never, none, nothing, nobody, nowhere, neither, nor, without, unless, except, cannot, only if, "
    "nunca, jamás, ninguno, ninguna, ningún, nada, nadie, tampoco, sin, salvo, excepto, "
    "não, nem, sem, nenhum, nenhuma, non, senza, mai, nessun, nessuno, nessuna, nulla, "
    "nicht, kein, keine, keinem, keinen, keiner, keines, keins, nie, niemals, nichts, niemand, ohne, außer, "
    "weder, niet, geen, nooit, zonder, ne, pas, jamais, aucun, aucune, aucuns, aucunes, rien, personne, "
    "sans, sauf, ni, bez"
)
# Of scripts other than Latin, looked for where a text has any.
FAR_NEGATIONS = (
    "не, нет, ни, без, никогда, никто, ничего, нельзя, кроме, δεν, δε, μη, μην, όχι, χωρίς, ποτέ, κανείς, "
    "τίποτα, لا, ولا, فلا, ليس, ليست, ليسوا, لم, ولم, لن, ولن, بدون, دون, غير, أبدا, "
    "לא, ולא, אין, בלי, אל, ללא, מעולם, "
    "नहीं, मत, बिना, न, არ, არა, ვერ, ნუ, გარეშე, არასდროს, ոչ, չէ, չի, առանց, երբեք, 안, 못"
)
NEGATIVE_PARTS = r"[不没沒无無未非别別勿]|ない|なく|なかった|ません|않\w{0,3}|못하|없|아니|ไม่|ห้าม|มิได้|อย่า"
QUANTIFIERS = (
    "only, exactly, all, every, both, twice, half, at least, at most, up to, more than, fewer than, "
    "less than, no more than, no fewer than, no less than, not more than, not less than, "
    "nur, mindestens, höchstens, genau, alle, aller, alles, jede, jedem, jeden, jeder, jedes, beide, beiden, "
    "seulement, au moins, au plus, exactement, tous, toutes, chaque, "
    "solo, sólo, al menos, como máximo, exactamente, todos, todas, cada"
)
