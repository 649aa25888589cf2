"""How a picture is asked for: words around what it shows, and words for how its file should look.

*Please draw me a picture of a cat, transparent background, 4k* asks for *a cat*, on nothing. What
is taken off says nothing of the thing, and a model that draws it would draw something else beside
it. The tables hold regular expressions by language; all languages are tried.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from limner.text.lexicon import LATIN
from limner.text.names import has_article, without_article
from limner.text.typed_signs import plain_signs

_WANTED = {
    "en": r"(?:(?:hi|hello|hey|ok|okay|please|pls|plz|omg|lol|yo|hmm+|um+|so)[,!.]* )*"
    r"(?:(?:can|could|may|would) (?:you|u|ya|i|we) )?"
    r"(?:please )?(?:(?:draw|(?:get|have|see)(?= (?:an?|some) )"
    r"|(?:paint|make|create|design|generate|show|give)(?= (?:me|us|an?|the|some|my|our|two) )"
    r"|(?:put|place|add|include|arrange)(?= (?:an?|the|some|one|two|three|four|five|six|\d+) )"
    r"|(?:i|we)(?:'d| would)? (?:want|need|like|love)(?: to (?:see|have))?(?= \w+ ))"
    r"(?: me| us)?(?: please)? |(?:once upon a time,? )?there(?:'s| is| are| was| were| lived) "
    r"|once,? there (?:was|were|lived) |(?:(?:u|you|ya) )?(?:got|have) (?=(?:an?|any|some) )"
    r"|(?:i )?need (?:smth|sth|something) (?:w/ ?|with )|gimme "
    r"|once upon a time,? |what(?: is|'s|s|’s) (?=an? )|(?:do you know|have you (?:ever )?seen) )",
    "es": r"(?:por favor,? )?(?:¿?(?:me |nos )?(?:puedes|podr[ií]as|puede|podr[ií]a)(?: por favor)?"
    r" (?:dibujar|hacer|crear|pintar|mostrar|generar|diseñar)(?:me|nos)?(?: por favor)?"
    r"|¿?me (?:dibujas|haces|pintas|muestras)|mu[eé]stra(?:me|nos)|p[ií]nta(?:me|nos)"
    r"|(?:me gustaría|quisiera)(?: ver| tener)?|dib[uú]ja(?:me|nos)?|hazme|quiero|necesito"
    r"|(?:haz|dame|hay)(?= (?:un|dos|tres|much|vari|el |la ))"
    r"|(?:érase una vez|había una vez),?|¿?qué es) ",
    "fr": r"(?:(?:est-ce que )?(?:tu peux|vous pouvez|peux-tu|pouvez-vous|pourrais-tu|tu pourrais"
    r"|pourriez-vous)(?: s'il (?:te|vous) pla[iî]t)?(?: me| nous)?"
    r" (?:dessiner|faire|créer|montrer|peindre|générer)|(?:dessinez|montre|peins)(?:[- ]moi)?"
    r"|j'aimerais(?: voir| avoir)?|dessine(?:[- ]moi)?"
    r"|je (?:veux|voudrais)|fais[- ]moi|il y a|il était une fois) ",
    "de": r"(?:(?:bitte )?(?:zeichne|male?(?= (?:mir|uns|bitte|ein|zwei|den|die|das)))"
    r"(?: mir)?(?: bitte)?"
    r"|ich (?:m[oö]chte|will|brauche)|es gibt|gibt es|steht|es war einmal) ",
    "it": r"(?:(?:puoi|potresti|può)(?: per favore)?"
    r" (?:disegnar|far|crear|mostrar|dipinger)(?:e|mi|ci)?"
    r"(?: per favore)?|fammi|mostrami|mi (?:disegni|fai)|mi piacerebbe(?: vedere)?|disegna(?:mi)?"
    r"|vorrei|voglio|c['’]è|ci sono|c['’]era una volta) ",
    "pt": r"(?:(?:você |vc )?(?:pode(?:ria)?|podes|consegue)(?: por favor)?(?: me)?"
    r" (?:desenhar|fazer|criar|mostrar|pintar|gerar)|me (?:mostra|desenha|faz)|gostaria de(?: ver)?"
    r"|desenh[ae](?: para mim)?|(?:eu )?quero|preciso de|há|era uma vez) ",
    "ru": r"(?:(?:ты )?(?:можешь|можете|не мог(?:ла)? бы ты)(?:,? пожалуйста,?)?"
    r" (?:нарисовать|сделать|создать|показать)|(?:покажи|изобрази|сделай)(?:те)?"
    r"|нарисуй(?:те)?(?:,? пожалуйста,?)?|хочу|нужна?|жил[иао]?-был[иао]?)(?: мне)? ",
    "ar": r"(?:من فضلك,? )?(?:[أا]رسمي?|هل يمكنك (?:أن ترسم|رسم)|[أا]ريد(?: (?:صورة|رسمة))?"
    r"|[أا]صنع|أرني)(?: لي)?(?: (?:صورة|رسمة)(?: عن)?)? ",
    "hi": r"(?:कृपया|मुझे|मेरे लिए) (?=.* (?:बनाओ|बनाएं|बनाइए|बना दो|दिखाओ|चाहिए)$)",
    "zh": r"(?:你?(?:能不能|可不可以|能否|可以|能|麻烦你?)(?=[请帮给为画])|请(?!柬|帖)|帮我"
    r"|给我(?!们)|我想要|我们要|我要|需要|来(?=[一个张幅])"
    r"|给(?:我的?)?(?:孩子|儿子|女儿|学生)(?=画)|生成|画(?!家|笔|板|册|框|像|面|展))+(?:[一两]?[张幅个](?:画[，,:：])?有?)?|图上有|图片[:：]|有(?=[一两二三几])|从前,?有?",
}
"""How a picture is asked for, before what it shows."""
_TOLD = {
    "en": r"(?:i'd|i|we|we're|please|my|our)\b.{0,80}?\b(?:picture|image|drawing|illustration"
    r"|scene|logo|(?<=\ba )card|greeting card|poster)\b.{0,60}?\b(?:of|with|showing) ",
    "es": r"para .{3,40}? (?:quiero|necesito) |(?:quiero|necesito|haz(?:me)?|dibuja(?:me)?) una? "
    r"(?:imagen|dibujo|tarjeta|p[oó]ster|cartel|foto|ilustraci[oó]n|logo) para .{3,60}? con ",
    "fr": r"(?:je (?:veux|voudrais)|dessine(?:[- ]moi)?|fais[- ]moi) une? "
    r"(?:image|dessin|carte|affiche|illustration|logo) pour .{3,60}? avec ",
    "de": r"(?:ich|wir) (?:m[oö]chten?|wollen|will|brauchen?|hätten?) .{0,20}?"
    r"(?:bild|zeichnung|\bkarte|poster|logo) für .{3,60}? mit ",
    "zh": r"我们?.{0,20}[，,](?:我们?)?(?:需要|想要|要)一?[张幅个](?:有)?",
}
"""The same with a reason: *I want a picture for my room with …*."""
_PICTURES = (
    r"picture|pic|image|img|emblem|crest|coat of arms"
    r"|photo(?:graph)?|drawing|sketch|doodle|painting|illustration|cartoon|clip ?art"
    r"|icon|logo|avatar|sticker|emoji|symbol|poster|outline|silhouette|graphic|portrait|render"
    r"|rendering|mascot|pixel art|watercolou?r|line art|png|svg|vector|thumbnail|emote|wallpaper"
    r"|seamless pattern|close[- ]?up|top view|colou?ring page|caricature|tattoo design|sticker pack"
)
_KINDS = {
    "en": rf"(?:(?:(?!\w+ing )[\w-]+ ){{0,2}}(?:black and white )?"
    rf"(?:(?:{_PICTURES})s? (?:of|showing)"
    r"|(?:picture|image|icon|logo)s? (?:for|with)|(?:avatar|sticker|mascot)s? for"
    r"|(?:posters?|wallpapers?|colou?ring pages?|coat of arms|crest|thumbnails?) with"
    r"|(?:worksheets?|diagrams?|flash ?cards?|collages?|storyboards?) (?:of|with|showing|about|for)"
    r"|(?:(?:social media|instagram|facebook) posts?|infographics?) about) )",
    "es": r"(?:(?:dibujo|imagen|foto|[ií]cono|logo|logotipo|boceto|ilustraci[oó]n|pintura|retrato"
    r"|p[oó]ster(?! para)|acuarela) (?:\w+ )?(?:de|del|con|para) )",
    "fr": r"(?:(?:dessin|image|ic[oô]ne|logo|photo|croquis|affiche(?! pour)|illustration|"
    r"aquarelle) (?:\w+ )?(?:de |du |d['’]|pour |avec ))",
    "de": r"(?:(?:(?:bild|zeichnung|symbol|logo|foto|skizze|aquarell) "
    r"(?:von|für|mit|eines|einer)|poster (?:von|mit|eines|einer)) )",
    "it": r"(?:(?:disegno|immagine|icona|logo|foto|schizzo|acquerello) (?:\w+ )?"
    r"(?:di|del|della|con|per) )",
    "pt": r"(?:(?:desenho|imagem|[ií]cone|logo|foto|esboço|aquarela) (?:\w+ )?"
    r"(?:de|do|da|com|para) )",
    "ru": r"(?:картинка|рисунок|иконка|логотип|фото)(?: с| со| для)? ",
    "ar": r"(?:شعار|أيقونة|صورة|رسمة) (?:ل(?:ل)?(?=\w{3}))?",
    "zh": r"(?:简笔画|水彩画的)(?=.)", "ja": r"水彩画の",
}  # fmt: skip
"""Words for a kind of picture, before what it shows."""
_QUESTION = re.compile(
    r"(?:what|how) (?:(?:does|do|did|would) )?(?P<en>.+?) looks?(?: like)?\W*|"
    r"why (?:is|are) (?P<article>the |an? )(?P<why>\w+) (?P<how>red|orange|yellow|green|blue|white|"
    r"black|pink|big|small|tall|round)\W*|"
    r"how (?:do|can|would|should) (?:you|i|we) \w+ (?P<done>.+?)\W*|"
    r"(?:is|are) there (?P<there>.+?)\W*|"
    r"(?:what|where|why|how|when) (?:do|does|did|can|will|would) (?P<doer>.+?) "
    r"(?:eat|sleep|live|go|work|grow|fly|swim|come|drink|hunt|hide|do|sing|purr|bark|cry)"
    r"(?: from| to| in| at)?\W*|"
    r"¿?cómo (?:es|son) (?P<es>.+?)\W*|à quoi ressemblent? (?P<fr>.+?)\W*|"
    r"wie (?:sieht|sehen) (?P<de>.+?) aus\W*|com['’]è (?P<it>.+?)\W*|como é (?P<pt>.+?)\W*|"
    r"как выглядит (?P<ru>.+?)\W*|(?P<zh>.+?)是?(?:长|看起来)?是?什么样(?:子)?的?[?？]?|"
    r"(?:bitte )?(?:kannst|könntest|würdest|können|könnten) (?:du|sie|ihr) "
    r"(?:(?:mir|uns|bitte|mal) )*(?P<asked>.+?)"
    r" (?:malen|zeichnen|machen|erstellen|zeigen|generieren)(?: bitte)?\W*|"
    r"(?P<ja>.+?)(?:って|は)どんな(?:の|もの|見た目|姿)?(?:ですか)?[?？]?",
    re.IGNORECASE | re.DOTALL,
)
"""What something looks like."""
_KINDS_BEHIND = re.compile(
    r"(?: (?:app icon|icon|logo|clip ?art|emoji|sticker|drawing|picture|image)s?"
    r"|(?<=s) to (?:count|colou?r(?: in)?|trace|print(?: out)?|cut out|label)"
    r"|,? as (?:an? )?(?:[\w-]+ ){0,2}(?:icon|logo|emoji|drawing|picture|image|illustration)s?"
    r"|,? (?:lol|haha+|omg|pls|plz|pretty please|asap|thx|ty|xd)"
    r"|,? (?:please|thanks|thank you|por favor|s'il (?:te|vous) pla[iî]t|bitte|per favore)"
    r"|,? (?:in|en|em|als|ad?) (?:pixel ?art|watercolou?r|acuarela|aquarelle?|acquerello|aquarela"
    r"|black and white|blanco y negro|dessin animé)"
    r"|,? flat design|,? pixel art"
    r"|的?(?:图片|图标|图案|图像|(?<![地蓝视])图|照片|插画|简笔画|头像|表情|标志|(?<![油壁国漫动版画在里])画(?<!画画)|贴纸)"
    r"|の(?:絵|イラスト|画像|アイコン|写真)(?:を(?:描いて|かいて|ください).*)?"
    r"|を(?:描いて|かいて|作って|見せて)(?:ください|下さい|くれ(?:る|ない|ますか|ませんか)?|ほしい(?:です)?"
    r"|もらえますか)?[?？。！]*|[がを](?:欲しい|ほしい|見たい)(?:です)?"
    r"|[을를] (?:그려|만들어|보여) ?(?:줘요?|주세요|줄래요?|주실래요)[?.!]*"
    r"| (?:का|की|के) (?:एक )?(?:चित्र|तस्वीर|फोटो|ड्राइंग)(?: (?:बनाओ|बनाएं|बनाइए|बना दो|दिखाओ|चाहिए))?"
    r"| (?:बनाओ|बनाएं|बनाइए|बना दो|दिखाओ|चाहिए)|(?<=.)[吗吧][?？]?"
    r"| ?(?:의 )?(?:그림|아이콘|이미지|사진)(?:을? 그려(?:줘|주세요)?)?)$",
    re.IGNORECASE,
)
_FOR = re.compile(
    r"(?<=\w\w) (?:for (?:my|our|a|the) (?:\w+ ){0,2}(?:kids?|son|daughter|child|children|class"
    r"|students|(?:web ?)?site|blog|app|presentation|slides?|homework|lesson|newsletter|flyer|shop)"
    r"|para (?:[oa]s? )?(?:mi|mis|meu|minha|mia) (?:hij[oa]s?|filh[oa]s?|clase|web|blog|app|tienda)"
    r"|pour (?:mon|ma|mes) (?:fils|fille|enfants?|classe|site|blog)"
    r"|für (?:meine?n?|unsere?n?) (?:kind|kinder|sohn|tochter|klasse|webseite|website|blog|app))$",
    re.IGNORECASE,
)
"""For whom or what a picture is, behind what it shows."""
_SIGN_FOR = re.compile(
    r"(?:logo|icon|symbol|sign|emblem|crest|badge)s? (?:for|of) |"
    r"(?:logo|logotipo|[ií]cono|ic[oô]ne|[ií]cone|icona|emblema?) (?:para|pour|per|de|di) |"
    r"(?:логотип|иконка|значок|эмблема) (?:для )?",
    re.IGNORECASE,
)
"""Signs of somebody's business."""
_LOGO_BEHIND = re.compile(r" logos?$", re.IGNORECASE)
"""The same behind whose it is: *pet shop logo*."""
_CALLED = re.compile(r"(?<=\w\w),? (?:called|named|by the name of) .{1,40}$", re.IGNORECASE)
"""What a business is called."""
_BUSINESSES = {
    "es": r"(?:una? )?(?:tienda|escuela|empresa|estudio|club|agencia|negocio|marca|app|aplicación"
    r"|clínica|salón|restaurante|taller|equipo) de ",
    "fr": r"(?:une? )?(?:magasin|boutique|école|entreprise|société|studio|club|agence|marque|appli"
    r"(?:cation)?|clinique|salon|restaurant|atelier|équipe) (?:de |d['’])",
    "it": r"(?:una? |un['’])?(?:negozio|scuola|azienda|studio|club|agenzia|marchio|app|clinica"
    r"|salone|ristorante|squadra) di ",
    "pt": r"(?:uma? )?(?:loja|escola|empresa|estúdio|clube|agência|marca|app|aplicativo|clínica"
    r"|salão|restaurante|equipe) de ",
    "ru": r"(?:магазин\w*|школ\w|компани\w|студи\w|клуб\w*|агентств\w|приложени\w|салон\w*) ",
}
"""The same in other languages, before what it is about."""
_BUSINESS = re.compile(
    r"(?<=\w\w)(?: repair)? (?:schools?|shops?|stores?|company|studio|clubs?|business|brand"
    r"|start-?up|agency|academy|team|apps?|web ?site|blog|podcast|services?|firm|channel|magazine"
    r"|conference|festival|class|course|restaurant|bar|joint|parlou?r|clinic|salon)(?=$| with )",
    re.IGNORECASE,
)
"""What sort of business it is, behind what it is about: a *surf* school, a *coffee* shop."""
_BEFORE_BUSINESS = re.compile(f"^(?:{'|'.join(_BUSINESSES.values())})(?=\\w)", re.IGNORECASE)
_FRAMES = tuple(re.compile(f"^(?:{'|'.join(table.values())})", re.IGNORECASE)
                for table in (_TOLD, _WANTED, _KINDS))  # fmt: skip
_TITLE = re.compile(r"^[^:：]{3,60}[:：]\s*(?=\S)")
_LIST = re.compile(r"^[^:,;.]{3,60}: +(?=[^,:;]{2,30}(?:,| and ))")
"""What a list is of: *ingredients for a cake: flour, eggs and milk*."""
_NUMBERED = re.compile(r"(?:\d+|two|three|four|five|six|seven|eight|nine|ten) ", re.I)
_FUNCTION_WORDS = frozenset[str]().union(*(lexicon.stops for lexicon in LATIN.values()))
_LONGEST = 2_000
"""Characters of a text that is read; nobody asks for a picture at the end of a longer one."""

_BACKGROUNDS = {
    "en": r"(?:(?:on|with|in|against|and) )?(?:an? |the )?(?:plain |pure |clean |solid )?"
    r"(?:transparent|no|white|blank) (?:back ?ground|backdrop|bg)"
    r"|without (?:an? |any )?background|isolated(?: on (?:white|transparent))?",
    "es": r"(?:(?:con|sobre|en|de) )?(?:un |el )?fondo (?:transparente|(?:en )?blanco)|sin fondo",
    "fr": r"(?:(?:avec|sur|à) )?(?:un )?(?:fond|arrière-plan) (?:transparent|blanc)"
    r"|sans (?:fond|arrière-plan)",
    "de": r"(?:(?:auf|mit|vor) )?(?:einem |ein )?(?:transparent|durchsichtig|wei(?:ß|ss))"
    r"(?:e[mnrs]?)? hintergrund|ohne hintergrund|freigestellt",
    "it": r"(?:(?:su|con) )?(?:uno )?sfondo (?:trasparente|bianco)|senza sfondo",
    "pt": r"(?:(?:com|em|sobre) )?(?:um )?fundo (?:transparente|branco)|sem fundo",
    "ru": r"(?:(?:на|с) )?(?:прозрачн|бел)\w+ фон\w*|без фона",
}
"""Backgrounds that are none, as whole words."""
_BACKGROUNDS_INSIDE = {
    "zh": r"在?(?:透明|无|纯?白色?)的?背景(?:上的?|的|下的?)?|背景透明|透明底|白底",
    "ja": r"(?:透明|白い?)な?の?背景(?:の|に|で)?|背景(?:なし|透過)の?",
    "ko": r"(?:투명한?|하얀|흰색?) 배경(?:의|에)?|배경 없(?:이|는)",
    "hi": r"(?:पारदर्शी|सफ\u093c?ेद) (?:पृष्ठभूमि|बैकग्राउंड)(?: पर| के साथ)?",
}
"""The same, where words are not told apart by spaces or end in signs of vowels."""
_NOTHING = re.compile(
    r"transparent|trasparente|durchsichtig|прозрачн|透明|투명|पारदर्शी|freigestellt|无|透過|なし|없"
    r"|(?<!\w)(?:no|without|sin|sans|ohne|senza|sem|без)(?!\w)",
    re.IGNORECASE,
)
"""What says of a background that it is to be transparent."""
_QUALITIES = {
    "en": r"(?:in )?(?:(?:very |ultra )?high(?:ly)?[- ]?(?:quality|res(?:olution)?|detail(?:ed)?)"
    r"|best quality|(?:ultra |full )?hd|[48]k|uhd|hi-?res|masterpiece"
    r"|\d{2,4} ?[x×] ?\d{2,4}(?: ?px)?)",
    "es": r"(?:en |de )?alta (?:calidad|resolución|definición)",
    "fr": r"(?:en |de )?haute (?:qualité|résolution|définition)",
    "de": r"(?:in )?hohe[rn]? (?:qualität|auflösung)",
    "it": r"(?:in |di )?alta (?:qualità|risoluzione)",
    "pt": r"(?:em |de )?alta (?:qualidade|resolução)",
    "ru": r"(?:в )?высок\w+ (?:качеств\w|разрешени\w)", "zh": "(?:超)?高清|高质量|高画质",
    "ja": "高画質|高品質", "ko": "고화질|고품질",
    "any": r"(?:(?:as|in|als|en|em|im|formato|format)? ?(?:an? |formato |format[- ]?)?)?"
    r"(?:transparent )?(?:png|jpe?g|svg|webp|gif|eps)"
    r"(?:[- ](?:file|format|image|datei|fichier))?"
    r"|(?:as (?:a )?)?(?:vector|vektor|vettoriale|vectorial)"
    r"(?: ?(?:art|graphic|image|file|grafik))?"
    r"|black and white|blanco y negro|noir et blanc|schwarz-?wei(?:ß|ss)|bianco e nero"
    r"|preto e branco|黑白|flat(?: design| style)?|minimalist(?:ic)?|icon|sticker"
    r"|图标|贴纸|矢量图?|ベクター|вектор\w*",
}  # fmt: skip
"""Qualities, formats and looks without a thing, where they stand by themselves or at the end."""
_ENDS = re.compile(
    rf"(?:(?:^|[,，、;；])\s*|(?<=[^\W_])[ ])(?:{'|'.join(_QUALITIES.values())})"
    r"(?=\s*(?:[,，、;；.。]|$))",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    rf"(?:[,，、;；]\s*)?(?:(?<!\w)(?:{'|'.join(_BACKGROUNDS.values())})(?!\w)"
    rf"|{'|'.join(_BACKGROUNDS_INSIDE.values())})",
    re.IGNORECASE,
)
_TRANSPARENT = re.compile(r"\btransparent (?:png|icon|sticker|logo|image|picture)\b", re.I)


_HAIR = re.compile(
    r"^(?P<who>(?:1|an? )?(?:[\w-]+ ){0,2}(?:girl|boy|woman|man|princess|lady|elf|fairy"
    r"|witch|mermaid))(?:, (?:solo|standing|smiling|portrait))*"
    r", (?:(?:very |long|short|curly|wavy|straight|flowing|messy|braided) ?)*"
    r"(?P<hair>[a-z]+ hair)\b",
    re.IGNORECASE,
)
"""Somebody in a list of keywords, and then the colour of the hair."""
_LOOKS = re.compile(
    r"^(?P<article>an? )?(?:(?:isometric|low[- ]poly|photo-?realistic|hyper-?realistic|stylized"
    r"|cinematic) )+(?=\w)",
    re.IGNORECASE,
)
"""Words for a look before what is shown."""
_TIMES = {
    "sunny": "sunny day", "rainy": "rainy day", "snowy": "snowing", "foggy": "in the fog",
    "cloudy": "cloudy sky", "night": "at night", "nighttime": "at night",
}  # fmt: skip
"""Keywords for a time or a weather, as sentences say it."""
_ITEMS = re.compile(r"\s*[,，、;；]\s*")


class Asked(NamedTuple):
    """What a text asks for.

    Attributes:
        subject: what the picture is to show.
        transparent: whether its background is to be left out.
    """

    subject: str
    transparent: bool


def what_is_asked(text: str) -> Asked:
    """What a text asks for a picture of, and how: words for that are taken off.

    A text of nothing else is returned as it is: *a white background*, *icon*.

    Args:
        text: in any language; words are known in the eleven taught ones.
    """
    if len(text) > _LONGEST:
        return Asked(text, False)
    left = plain_signs(text)
    transparent = _TRANSPARENT.search(text) is not None or any(
        _NOTHING.search(match[0]) for match in _BEHIND.finditer(text)
    )
    for pattern in (_BEHIND, _ENDS):
        while (rest := _without_first(pattern, left)) != left:
            left = rest
    return Asked(_without_noise(subject(_without_noise(left))), transparent)


def _without_noise(text: str) -> str:
    """A list of keywords without those that show nothing, and with somebody's hair as his own."""
    text = _HAIR.sub(r"\g<who> with \g<hair>", text)
    items = _ITEMS.split(text)
    if len(items) < 2:
        return text
    kept = [each for each in items if not _noise().fullmatch(each.strip(" .!"))] or items
    kept = [_TIMES.get(each.casefold(), each) for each in kept]
    return text if kept == items else ", ".join(kept)


@cache
def _noise() -> re.Pattern[str]:
    """Keywords that say something of the whole picture, or that show nothing."""
    lines = (files(__package__) / "keywords.txt").read_text("utf-8").split("\n")
    return re.compile("|".join(filter(None, lines)), re.IGNORECASE)


def _without_first(pattern: re.Pattern[str], text: str) -> str:
    """A text without the first words of a pattern that are taken off; the same without any."""
    for match in pattern.finditer(text):
        rest = text[: match.start()].rstrip(" ,，、") + text[match.end() :]
        rest = " ".join(rest.split()).strip(" ,，、;；.。")
        if rest and rest.rpartition(" ")[2].lower() not in _FUNCTION_WORDS:
            return rest
    return text


def subject(phrase: str) -> str:
    """What a phrase asks for a picture of: *please draw me a logo for a bakery* is *a bakery*.

    Words around it say how it is asked for and what kind of picture is meant. A phrase of nothing
    else is returned as it is.
    """
    name = phrase.strip()
    if (question := _QUESTION.fullmatch(name)) is not None:
        said = question.groupdict()
        if said["why"]:
            name = f"{said['article']}{said['how']} {said['why']}"
        else:
            name = next(filter(None, question.groups()))
    while (shorter := _KINDS_BEHIND.sub("", name)) not in ("", name):
        if shorter.rpartition(" ")[2].casefold() in _FUNCTION_WORDS:
            break  # a suitcase with stickers
        name = shorter
    name = _LIST.sub("", name)
    titled = _TITLE.sub("", name)
    name = titled if has_article(titled) or _NUMBERED.match(titled) else name
    for frame in _FRAMES:
        for whole in (name, without_article(name)):  # "i want" has an Italian article
            if (shorter := frame.sub("", whole).strip()) not in ("", whole):
                name = shorter.rstrip(" ?？") or shorter
                break
    name = _LOOKS.sub(lambda match: match["article"] or "", _FOR.sub("", name))
    if name != phrase and (_SIGN_FOR.search(phrase) or _LOGO_BEHIND.search(phrase)):
        name = _CALLED.sub("", name)
        name = _BUSINESS.sub("", name) or name
        name = _BEFORE_BUSINESS.sub("", name) or name
    return name.strip() or phrase
