"""Function words of many languages: where a prompt is cut into phrases.

Plain tables. Words of one entry are separated by underscores. ``joins`` (and, or) cut and
vanish; ``places`` (left of, on, with) cut and stay, as tokens of their own; ``articles`` begin a
new phrase; ``stops`` never stand alone as a word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

Words = tuple[str, ...]


@dataclass(frozen=True)
class Lexicon:
    """The function words of one language, each a tuple of lower-case words."""

    joins: frozenset[Words]
    places: frozenset[Words]
    articles: frozenset[Words]
    stops: frozenset[str]
    letters: frozenset[str]


def _lexicon(
    joins: str, places: str, articles: str = "", stops: str = "", letters: str = ""
) -> Lexicon:
    def phrases(table: str) -> frozenset[Words]:
        return frozenset(tuple(entry.split("_")) for entry in table.split())

    functional = phrases(joins) | phrases(places) | phrases(articles)
    single = {words[0] for words in functional if len(words) == 1}
    return Lexicon(
        phrases(joins), phrases(places), phrases(articles),
        frozenset(stops.split()) | frozenset(single), frozenset(letters),
    )  # fmt: skip


LATIN: dict[str, Lexicon] = {
    "en": _lexicon(
        "and or plus as_well_as together_with along_with",
        "left_of right_of to_the_left_of to_the_right_of on_the_left_of on_the_right_of on_top_of "
        "in_front_of next_to close_to inside_of outside_of on_the_side_of at_the_top_of "
        "at_the_bottom_of in_the_middle_of on in under above below behind beneath underneath "
        "beside besides between inside outside over near with without against among around at "
        "by through across along into onto upon from holding wearing",
        "a an the another some this that these those his her its their my your our every each",
        "of to for is are was were be being been there it he she they i you we as while which who "
        "not no so than then very",
    ),
    "es": _lexicon(
        "y e o u así_como junto_con",
        "a_la_izquierda_de a_la_derecha_de al_lado_de encima_de debajo_de delante_de detrás_de "
        "dentro_de fuera_de cerca_de junto_a enfrente_de alrededor_de en sobre bajo entre con sin "
        "tras ante contra hacia desde",
        "el la los las un una unos unas este esta estos estas su sus mi mis otro otra",
        "de del al a que es son está están hay por para lo se muy no como",
        "ñ¿¡",
    ),
    "fr": _lexicon(
        "et ou ainsi_que",
        "à_gauche_de à_droite_de à_gauche_du à_droite_du à_côté_de à_côté_du au-dessus_de "
        "au-dessous_de au_dessus_de au_dessous_de en_face_de près_de en_haut_de en_bas_de "
        "à_gauche_d' à_droite_d' à_côté_d' au-dessus_d' au_dessus_d' près_d' autour_d' "
        "autour_de sur sous dans devant derrière entre avec sans contre chez vers en parmi",
        "le la les un une des ce cette ces son sa ses mon ma mes leur leurs autre",
        "de du au aux à que qui est sont il elle ils elles y a pour par très ne pas d' l' "
        "d l s c qu",
        "çœêëùèàâîô",
    ),
    "de": _lexicon(
        "und oder sowie",
        "links_von rechts_von links_neben rechts_neben oberhalb_von unterhalb_von auf über unter "
        "neben hinter vor zwischen in im an am bei beim mit ohne gegen um aus ins aufs innerhalb",
        "der die das den dem des ein eine einen einem einer eines dieser diese dieses sein seine "
        "ihr ihre mein meine kein keine",
        "von vom zu zum zur ist sind war es er sie wir und_zwar für als wie sehr nicht auch",
        "äöüß",
    ),
    "pt": _lexicon(
        "e ou assim_como",
        "à_esquerda_de à_direita_de à_esquerda_da à_direita_da à_esquerda_do à_direita_do "
        "ao_lado_de ao_lado_da ao_lado_do em_cima_de em_cima_da em_cima_do em_frente_de "
        "atrás_de dentro_de fora_de perto_de debaixo_de acima_de abaixo_de "
        "em no na nos nas num numa sobre sob entre com sem contra",
        "o a os as um uma uns umas este esta estes estas seu sua seus suas meu minha outro outra",
        "de do da dos das ao à que é são está há por para muito não como se",
        "ãõç",
    ),
    "it": _lexicon(
        "e ed o oppure",
        "a_sinistra_di a_destra_di a_sinistra_del a_destra_del accanto_a sopra sotto "
        "davanti_a dietro dentro fuori_da vicino_a di_fronte_a in nel nella nello nei nelle su "
        "sul sull' nell' sulla sullo sui sulle tra fra con senza contro",
        "il lo la i gli le un uno una questo questa questi queste suo sua suoi sue mio mia altro",
        "di del della dello dei delle dell al all alla da dal dall dalla a è sono c che per molto "
        "non l l' dell' all' dall' un' sull nell un",
        "ìòù",
    ),
    "nl": _lexicon(
        "en of alsmede",
        "links_van rechts_van boven_op naast op in onder boven achter voor tussen met zonder bij "
        "tegen uit rond over door aan",
        "de het een deze dit die dat zijn haar mijn",
        "van te is er als niet zeer ook",
    ),
    "sv": _lexicon(
        "och eller samt",
        "till_vänster_om till_höger_om ovanpå bredvid framför bakom på i under över ovanför "
        "mellan med utan inuti vid mot hos",
        "en ett den det de denna detta hans hennes sin",
        "av till som är var för inte om",
        "äåö",
    ),
    "da": _lexicon(
        "og eller samt",
        "til_venstre_for til_højre_for oven_på ved_siden_af på i under over foran bagved mellem "
        "med uden ved mod hos bag inden_i",
        "en et den det de denne dette hans hendes sin",
        "af til som er var for ikke om",
        "æøå",
    ),
    "nb": _lexicon(
        "og eller samt",
        "til_venstre_for til_høyre_for oppå ved_siden_av på i under over foran bak mellom med "
        "uten ved mot hos inni",
        "en et ei den det de denne dette hans hennes sin",
        "av til som er var for ikke om",
        "æøå",
    ),
    "pl": _lexicon(
        "i oraz lub albo a",
        "na_lewo_od na_prawo_od obok na w we pod nad za przed między przy z ze bez wewnątrz wokół",
        "ten ta to te jeden jedna",
        "jest są się do od dla o po nie jak jego jej ich bardzo",
        "ąćęłńśźż",
    ),
    "cs": _lexicon(
        "a i nebo anebo",
        "vlevo_od vpravo_od vedle na v ve pod nad za před mezi u s se bez uvnitř kolem",
        "ten ta to ty jeden jedna jedno",
        "je jsou do od pro o po z ze jak jeho její velmi k",
        "ěřůčšžýď",
    ),
    "hu": _lexicon(
        "és vagy meg valamint",
        "mellett alatt felett fölött mögött előtt között belül kívül balra jobbra rajta",
        "a az egy ez azok ezek",
        "van vannak nem is hogy mint nagyon",
        "őű",
    ),
    "ro": _lexicon(
        "și şi sau precum_și",
        "la_stânga la_dreapta lângă pe în sub deasupra peste după în_spatele în_fața între cu fără",
        "un o niște acest această acești",
        "de la al ale a este sunt care pentru din nu foarte",
        "șțşţăâ",
    ),
    "tr": _lexicon(
        "ve veya ya_da",
        "solunda sağında üstünde altında yanında önünde arkasında içinde arasında ile ortasında",
        "bir bu şu o",
        "da de için gibi çok var olan",
        "ığşİ",
    ),
    "fi": _lexicon(
        "ja tai sekä",
        "vasemmalla oikealla päällä alla vieressä edessä takana sisällä välissä kanssa ilman "
        "yllä alapuolella yläpuolella",
        "se tämä nämä",
        "on ovat ei joka kuin hyvin",
    ),
    "et": _lexicon(
        "ja või ning",
        "vasakul paremal peal all kõrval ees taga sees vahel koos ilma kohal",
        "see need üks",
        "on ei kui mis väga",
        "õ",
    ),
    "lt": _lexicon(
        "ir arba bei",
        "kairėje dešinėje ant po šalia prieš už tarp su be viduje virš",
        "tas ta šis ši vienas viena",
        "yra iš į kaip labai",
        "ėųūį",
    ),
    "vi": _lexicon(
        "và hoặc cùng",
        "bên_trái bên_phải ở_trên ở_dưới bên_cạnh phía_trước phía_sau trên dưới "
        "trong ngoài giữa với",
        "một những các cái con chiếc quả",
        "là của có ở rất này đó được",
        "ơưđăạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
    ),
    "id": _lexicon(
        "dan atau serta",
        "di_sebelah_kiri di_sebelah_kanan di_kiri di_kanan di_atas di_bawah di_samping di_depan "
        "di_belakang di_dalam di_antara di dengan tanpa dekat",
        "sebuah seekor seorang sebatang sekuntum satu se",
        "yang adalah dari untuk pada ke itu ini sangat",
    ),
}

# Languages that share no script with another table here: always active.
OTHER = _lexicon(
    "и или та і й або және και ή و أو او یا ו או और या तथा এবং ও অথবা 그리고 또는 하고 및 "
    "และ หรือ กับ",
    "слева_от справа_от рядом_с перед за на в во под над между с со без внутри около у зліва_від "
    "справа_від поруч_з біля між "
    "αριστερά_από δεξιά_από δίπλα_σε πάνω_σε κάτω_από μπροστά_από πίσω_από μέσα_σε σε στο στη στην "
    "με χωρίς ανάμεσα "
    "على_يسار على_يمين يسار يمين بجانب فوق تحت أمام خلف داخل بين على في مع بدون "
    "در روی زیر کنار پشت جلوی بالای با "
    "משמאל_ל מימין_ל ליד על מעל מתחת מאחורי לפני בין עם בתוך "
    "के_ऊपर के_नीचे के_पास के_बाएं के_दाएं के_बीच के_साथ के_सामने के_पीछे में पर "
    "উপরে নিচে পাশে মধ্যে সামনে পিছনে সাথে "
    "위에 아래에 아래 옆에 왼쪽에 오른쪽에 왼쪽 오른쪽 앞에 뒤에 안에 사이에 위의 옆의 "
    "บน ใต้ ใน ข้าง ด้านซ้ายของ ด้านขวาของ ข้างหน้า ข้างหลัง ระหว่าง",
    "один одна одно один_из ένας μια ένα ο η το एक একটি 한 하나의",
    "из от для до по к о это есть не як не что який που είναι του της των να θα من إلى هذا هذه "
    "هو هي از به است که של את הוא היא का की के है हैं को से এর একটা 의 있는 ที่ ของ เป็น มี",
)


_ELIDED = {"fr": ("l['’]",), "it": ("l['’]", "un['’]")}
"""Articles that are written into the next word."""


@cache
def article_pattern(language: str) -> str:
    """A regular expression of an article or a possessive that may stand before a noun.

    With the space behind it; of a language without such words, of nothing.

    Args:
        language: code of a language.
    """
    if language not in LATIN:
        return ""
    words = sorted(word for (word, *more) in LATIN[language].articles if not more)
    elided = "".join(f"|{word}" for word in _ELIDED.get(language, ()))
    return f"(?:(?:{'|'.join(words)}) {elided})?"


_NUMBERS = {
    code: frozenset(words.split())
    for code, words in {
        "es": "dos tres cuatro cinco seis siete ocho nueve diez doce trece catorce dieciséis "
        "diecisiete dieciocho diecinueve veinte",
        "fr": "deux trois quatre cinq sept huit neuf dix onze douze treize quatorze quinze seize "
        "vingt",
        "de": "zwei drei vier fünf sechs sieben acht neun zehn zwölf dreizehn vierzehn fünfzehn "
        "sechzehn siebzehn achtzehn neunzehn zwanzig",
        "it": "due tre quattro cinque sei sette nove dieci undici dodici tredici quattordici "
        "quindici sedici diciassette diciotto diciannove venti",
        "pt": "dois duas três quatro cinco seis sete oito nove dez onze doze treze quatorze quinze "
        "dezesseis dezessete dezoito dezenove vinte",
    }.items()
}
"""Numbers that count, but for those that are words of English, too (*six*, *once*, *elf*)."""

_DOZENS = {
    "docena": "es", "docenas": "es", "douzaine": "fr", "douzaines": "fr", "dutzend": "de",
    "dozzina": "it", "dozzine": "it", "dúzia": "pt", "dúzias": "pt",
}  # fmt: skip
"""Words for twelve, whose prepositions are words of other languages, too."""
_VERBS = {"es": re.compile(r"\w{2,}(?:iendo|ándo(?:se|l[oa]s?))"), "it": re.compile(r"\w{3,}gendo")}
"""Verbs that tell a language where no function word does: *vacas comiendo hierba*."""
_SCRIPTS = (
    (re.compile("[\u3041-\u30ff]"), "ja"), (re.compile("[\uac00-\ud7a3]"), "ko"),
    (re.compile("[\u4e00-\u9fff]"), "zh"), (re.compile("[\u0900-\u097f]"), "hi"),
    (re.compile("[\u0400-\u04ff]"), "ru"), (re.compile("[\u0600-\u06ff]"), "ar"),
    (re.compile("[\u0590-\u08ff\u0e00-\u0e7f]"), ""),
)  # fmt: skip


_POSSESSIVE = re.compile(r"(?<=\w)['’]s\b|\bo['’](?=clock\b)")
"""Of English, whose *s* alone is a word of French and Czech, and *o* one of Portuguese."""


_ENGLISH = re.compile(
    r"^i (?:really )?(?:love|like|want|need|miss|see|saw|have|had|got|hate|wish|think|feel|would|"
    r"will|can|was|am|dream|found|made|bought|eat|drink|play|live|work)\b|"
    r"\w (?:dressed|disguised|working) (?:up )?as \w"
)
"""English, although *i* is an article of Italian and *as* of Portuguese."""


def languages_of(text: str) -> tuple[str, ...]:
    """Codes of the languages that a text may be in, by its script, its letters and function words.

    English, where nothing tells.
    """
    for pattern, code in _SCRIPTS:
        if pattern.search(text):
            return (code,)
    if _ENGLISH.search(text.lower()):
        return ("en",)
    words = re.findall(r"\w+", _POSSESSIVE.sub("", text.lower()))
    for word in words:
        if word in _DOZENS:
            return (_DOZENS[word],)
    found = _counted_in(words) or _likeliest(words)
    if found == ("en",) and frozenset(words).isdisjoint(LATIN["en"].stops):
        return next(((code,) for code, ending in _VERBS.items()
                     if any(map(ending.fullmatch, words))), found)  # fmt: skip
    with_article = (code for code in found
                    if any((word,) in LATIN[code].articles for word in words))  # fmt: skip
    return tuple(with_article) or found


def _counted_in(words: Sequence[str]) -> tuple[str, ...]:
    """The languages of the number that a text begins with, where nothing else in it speaks against.

    *dos vacas* is Spanish, although *dos* is a preposition of Portuguese.
    """
    if len(words) < 2:
        return ()
    counted = tuple(code for code, numbers in _NUMBERS.items() if words[0] in numbers)
    rest = _likeliest(words[1:])
    if rest == ("en",) and frozenset(words[1:]).isdisjoint(LATIN["en"].stops):
        return counted
    return tuple(code for code in counted if code in rest)


def guess(words: Sequence[str]) -> Lexicon:
    """The lexicon of the Latin-script language whose function words and letters show most.

    Ties go to the earlier table, English first; a text without any function word is "English",
    which then has nothing to cut by.
    """
    return LATIN[(_counted_in(words) or _likeliest(words))[0]]


def _likeliest(words: Sequence[str]) -> tuple[str, ...]:
    """The Latin-script languages of which lower-case words show most."""
    letters, lower = frozenset("".join(words)), frozenset(words)
    shown = {code: len(lower & lexicon.stops) + bool(letters & lexicon.letters)
             for code, lexicon in LATIN.items()}  # fmt: skip
    most = max(shown.values())
    return tuple(code for code, times in shown.items() if times == most) if most else ("en",)
