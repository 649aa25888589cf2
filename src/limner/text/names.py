"""Names of things as they are compared: without what stands around them, in one spelling."""

from __future__ import annotations

import re
import unicodedata

from limner.text.lexicon import LATIN

_MEASURED = re.compile(
    r"^(?:图上有|画)?[一二两三四五六七八九十百\d]+"
    r"[只条个棵颗朵头匹架把顶部枚支本辆座张台件杯块根位名群双对]"
)
_PLURALS = ((re.compile(r"(?<=\w\w)ies$"), "y"), (re.compile(r"(?<=s|x|z|h)es$"), ""),
            (re.compile(r"(?<=\w\w)(?<![su])s$"), ""))  # fmt: skip
_ARTICLES = {article for lexicon in LATIN.values() for words in lexicon.articles
             if len(words) == 1 for article in words} | {"some", "my", "our"}  # fmt: skip
_WANTED = {
    "en": r"(?:please |pls )?(?:(?:can|could) you )?(?:draw|paint|make|create|design|generate|show"
    r"|give|i want|i need|i'd like|i would like)(?: me| us)?(?: please)? ",
    "es": r"(?:por favor )?(?:dib[uú]ja(?:me|nos)?|haz(?:me)?|quiero|necesito|dame) ",
    "fr": r"(?:dessine(?:[- ]moi)?|je (?:veux|voudrais)|fais[- ]moi) ",
    "de": r"(?:(?:bitte )?(?:zeichne|male?)(?: mir)?|ich (?:m[oö]chte|will|brauche)) ",
    "it": r"(?:disegna(?:mi)?|vorrei|voglio) ",
    "pt": r"(?:desenh[ae](?: para mim)?|quero|preciso de) ",
    "ru": r"(?:нарисуй(?:те)?|хочу|нужна?)(?: мне)? ",
    "zh": r"(?:请|帮我|给我|我想要|我们要|我要|需要|来|画)+(?:一?[张幅个])?",
}
"""How a picture is asked for, before what it shows."""
_KINDS = {
    "en": r"(?:(?:\w+ ){0,2}(?:picture|image|photo|drawing|sketch|doodle|painting|illustration"
    r"|cartoon|clip ?art|icon|logo|avatar|sticker|emoji|symbol|poster|outline|silhouette|graphic"
    r"|portrait|render|rendering|mascot) (?:of|for|with|showing) )",
    "es": r"(?:(?:dibujo|imagen|foto|icono|logo|logotipo|boceto|ilustraci[oó]n|pintura|retrato"
    r"|p[oó]ster) (?:de|del|con|para) )",
    "fr": r"(?:(?:dessin|image|ic[oô]ne|logo|photo|croquis|affiche) (?:de |du |d['’]|pour |avec ))",
    "de": r"(?:(?:bild|zeichnung|symbol|logo|foto|skizze|poster) (?:von|für|mit|eines|einer) )",
    "it": r"(?:(?:disegno|immagine|icona|logo|foto|schizzo) (?:di|del|della|con|per) )",
    "pt": r"(?:(?:desenho|imagem|[ií]cone|logo|foto|esboço) (?:de|do|da|com|para) )",
    "ru": r"(?:картинка|рисунок|иконка|логотип|фото)(?: с| со| для)? ",
}
"""Words for a kind of picture, before what it shows."""
_KINDS_BEHIND = re.compile(
    r"(?: (?:icon|logo|clip ?art|emoji|sticker|drawing|picture|image|pls|plz|please)+"
    r"|的?(?:图片|图标|图案|图像|图|照片|插画|简笔画|头像|表情|标志|画)"
    r"|の(?:絵|イラスト|画像|アイコン|写真)(?:を(?:描いて|かいて|ください).*)?"
    r"| ?(?:의 )?(?:그림|아이콘|이미지|사진))$",
    re.IGNORECASE,
)
_FRAMES = tuple(re.compile(f"^{'|'.join(table.values())}", re.IGNORECASE)
                for table in (_WANTED, _KINDS))  # fmt: skip


_PRAISE = re.compile(
    r"^(?:(?:very|cute|little|pretty|lovely|nice|beautiful|adorable|cool|funny|simple) +"
    r"|(?:(?:可爱|漂亮|美丽|好看|简单|小小)的?|小))+(?=\S)"
    r"|(?<=\S)(?: (?:muy )?(?:bonit|lind|simpátic)[oa])+$",
    re.IGNORECASE,
)
"""Words around a name that hardly change what is drawn."""


def bare(phrase: str) -> str:
    """A phrase without what stands around a name: articles, measure words, praise, plurals.

    *a cute apple* is *apple*, *hammers* *hammer*, *la casa* *casa*, *一棵树* *树*.
    """
    name = _MEASURED.sub("", without_article(phrase)) or phrase.strip()
    name = _PRAISE.sub("", name)
    for ending, single in _PLURALS:
        if ending.search(name):
            return ending.sub(single, name)
    return name


def without_article(phrase: str) -> str:
    """A phrase without an article before it, in one of the Latin languages."""
    first, _, rest = phrase.strip().partition(" ")
    return rest.strip() if rest and first.lower() in _ARTICLES else phrase.strip()


def subject(phrase: str) -> str:
    """What a phrase asks for a picture of: *please draw me a logo for a bakery* is *a bakery*.

    Words around it say how it is asked for and what kind of picture is meant. A phrase of nothing
    else is returned as it is.
    """
    name = _KINDS_BEHIND.sub("", phrase.strip())
    for frame in _FRAMES:
        whole = without_article(name)
        shorter = frame.sub("", whole).strip()
        name = name if shorter in ("", whole) else shorter
    return name.strip() or phrase


def name_key(text: str) -> str:
    """The spelling by which names are compared, the same for *T-Rex* and *t. rex*.

    Compatibility forms (NFKC), upper case and punctuation make no difference.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Marks are letters too: the vowel signs of Hindi.
    kept = (sign if sign.isalnum() or unicodedata.category(sign)[0] == "M" else " "
            for sign in folded)  # fmt: skip
    return " ".join("".join(kept).split())
