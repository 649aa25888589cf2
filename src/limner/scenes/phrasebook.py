"""Simple captions of scenes in nine languages, to train models that understand prompts.

Names of things come from the captions of icons; here are the words around them: numbers, colours,
sizes, places and backgrounds. Grammatical forms do not agree (*dos casa rojo*): one is chosen at
random. Text encoders are little affected by that, and a model trained on all forms understands the
right one too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from limner.scenes.layout import INVERSE, RELATIONS
from limner.scenes.scene import SCENE_COLOURS, Item, Scene

_COLOURS = (*SCENE_COLOURS, "white")


@dataclass(frozen=True)
class Phrasebook:
    """Words and sentence patterns of a language; forms of one word are divided by ``/``.

    Attributes:
        numbers: one to nine.
        colours: the ten of scenes in their order, then white.
        sizes: big and small.
        thing: how ``{number}``, ``{size}``, ``{colour}`` and ``{name}`` follow each other.
        places: sentences of ``{a}`` left of, right of, above and below ``{b}``.
        both: the conjunction between two things.
        backgrounds: sentences of ``{text}``, the things, and the ``{colour}`` of the background.
        sign: words that mark a phrase about the background.
        tones: a light and a dark shade of ``{}``.
        background_colours: the forms used of a background; empty where they are as elsewhere.
        endings: endings of names, ``singular>plural``; the first that fits is used.
    """

    numbers: str
    colours: str
    sizes: str
    thing: str
    places: str
    both: str
    backgrounds: str
    sign: str
    tones: str
    background_colours: str = ""
    endings: str = ""

    @cached_property
    def number_words(self) -> frozenset[str]:
        """Words of numbers and of sizes."""
        return frozenset(
            word for form in _split(f"{self.numbers};{self.sizes}") for each in form
            for word in (*each.split(), each)
        )  # fmt: skip

    @cached_property
    def colour_words(self) -> Mapping[str, frozenset[str]]:
        """Colour -> all its forms."""
        table = zip(_COLOURS, _split(self.colours), strict=True)
        return {name: frozenset(forms) for name, forms in table}

    @property
    def background_words(self) -> Mapping[str, Sequence[str]]:
        """Of each colour the forms in which it is text of a background."""
        forms = self.background_colours
        return dict(zip(_COLOURS, _split(forms), strict=True)) if forms else {}

    def plural(self, name: str) -> str:
        """The plural of a name; only its first word changes."""
        first, *rest = name.split(" ")
        for ending in self.endings.split():
            old, new = ending.split(">")
            if first.endswith(old):
                return " ".join([first.removesuffix(old) + new, *rest])
        return name

    def caption(
        self, scene: Scene, names: Mapping[str, str], rng: np.random.Generator
    ) -> str | None:
        """A caption of the whole scene, its things called by ``names``; ``rng`` chooses wordings.

        None if the background has no word here.
        """
        background = None if scene.background is None else self._background(scene.background, rng)
        if scene.background is not None and background is None:
            return None
        text = self._things(scene, names, rng)
        if background is not None:
            text = _one(rng, self.backgrounds.split(";")).format(text=text, colour=background)
        return " ".join(text.split())

    def _things(self, scene: Scene, names: Mapping[str, str], rng: np.random.Generator) -> str:
        items = [self._item(item, names[item.thing], rng) for item in scene.items]
        if scene.relation is None:
            order = [items[i] for i in rng.permutation(len(items))]
            return self.both.join([", ".join(order[:-1]), order[-1]] if order[1:] else order)
        relation, (first, second) = scene.relation, items
        if rng.random() < 0.5:
            relation, first, second = INVERSE[relation], second, first
        ways = _split(self.places)[RELATIONS.index(relation)]
        return _one(rng, ways).format(a=first, b=second)

    def _item(self, item: Item, name: str, rng: np.random.Generator) -> str:
        number = _one(rng, _split(self.numbers)[item.count - 1])
        if item.count > 1 and rng.random() < 0.3:
            number = str(item.count)
        if item.count == 1 and rng.random() < 0.3:
            number = ""
        sizes = dict(zip(("big", "small"), _split(self.sizes), strict=True))
        colour = "" if item.colour is None else _one(rng, sorted(self.colour_words[item.colour]))
        size = "" if item.size is None else _one(rng, sizes[item.size])
        called = name if item.count == 1 else self.plural(name)
        return self.thing.format(number=number, size=size, colour=colour, name=called).strip()

    def _background(self, name: str, rng: np.random.Generator) -> str | None:
        tone, _, plain = name.rpartition(" ")
        words = dict(zip(_COLOURS, _split(self.background_colours or self.colours), strict=True))
        if plain not in words or (plain == "white" and tone):
            return None
        light, dark = self.tones.split(";")
        shades = {"": "{}", "light": light, "pale": light, "dark": dark}
        return shades[tone].format(_one(rng, words[plain])) if tone in shades else None


@cache
def _split(table: str) -> list[list[str]]:
    return [entry.strip().split("/") for entry in table.split(";")]


def _one(rng: np.random.Generator, among: Sequence[str]) -> str:
    return among[int(rng.integers(len(among)))]


BOOKS: Mapping[str, Phrasebook] = {
    "es": Phrasebook(
        "un/una; dos; tres; cuatro; cinco; seis; siete; ocho; nueve",
        "rojo/roja/rojos/rojas; naranja; amarillo/amarilla/amarillos/amarillas; verde/verdes; "
        "azul/azules; morado/morada/morados/moradas; rosa; marrón/marrones; "
        "negro/negra/negros/negras; gris/grises; blanco/blanca",
        "grande/grandes; pequeño/pequeña/pequeños/pequeñas",
        "{number} {name} {colour} {size}",
        "{a} a la izquierda de {b}; {a} a la derecha de {b}; {a} encima de {b}/{a} sobre {b}; "
        "{a} debajo de {b}/{a} bajo {b}",
        " y ",
        "{text} sobre un fondo {colour};{text}, fondo {colour};{text} con fondo {colour};"
        "{text} en un fondo {colour}",
        "fondo", "{} claro;{} oscuro",
        "rojo; naranja; amarillo; verde; azul; morado; rosa; marrón; negro; gris; blanco",
        "z>ces a>as e>es i>is o>os u>us s>s ión>iones ón>ones >es",
    ),
    "fr": Phrasebook(
        "un/une; deux; trois; quatre; cinq; six; sept; huit; neuf",
        "rouge/rouges; orange; jaune/jaunes; vert/verte/verts/vertes; bleu/bleue/bleus/bleues; "
        "violet/violette/violets/violettes; rose/roses; marron/brun/brune; "
        "noir/noire/noirs/noires; gris/grise/grises; blanc/blanche",
        "grand/grande/grands/grandes; petit/petite/petits/petites",
        "{number} {size} {name} {colour}",
        "{a} à gauche de {b}/{a} à gauche d'{b}; {a} à droite de {b}/{a} à droite d'{b}; "
        "{a} au-dessus de {b}/{a} au-dessus d'{b}; {a} au-dessous de {b}/{a} sous {b}",
        " et ",
        "{text} sur un fond {colour};{text}, fond {colour};{text} sur fond {colour};"
        "{text} devant un fond {colour}",
        "fond", "{} clair;{} foncé",
        "rouge; orange; jaune; vert; bleu; violet; rose; marron; noir; gris; blanc",
        "eau>eaux s>s x>x z>z >s",
    ),
    "de": Phrasebook(
        "ein/eine/einen; zwei; drei; vier; fünf; sechs; sieben; acht; neun",
        "rot/rote/roter/rotes/roten; orange/orangefarbene; gelb/gelbe/gelber/gelbes; "
        "grün/grüne/grüner/grünes; blau/blaue/blauer/blaues/blauen; lila/violette/violetter; "
        "rosa/pinke; braun/braune/brauner/braunes; schwarze/schwarzer/schwarzes; "
        "graue/grauer/graues; weiße/weißer",
        "große/großer/großes; kleine/kleiner/kleines",
        "{number} {size} {colour} {name}",
        "{a} links von {b}/{a} links neben {b}; {a} rechts von {b}/{a} rechts neben {b}; "
        "{a} über {b}/{a} oberhalb von {b}; {a} unter {b}/{a} unterhalb von {b}",
        " und ",
        "{text} auf {colour}em Hintergrund;{text}, {colour}er Hintergrund;"
        "{text} auf einem {colour}en Hintergrund;{text} vor {colour}em Hintergrund",
        "Hintergrund", "hell{};dunkel{}",
        "rot; orangefarben; gelb; grün; blau; violett; rosafarben; braun; schwarz; grau; weiß",
        "e>en er>er el>el >e",
    ),
    "it": Phrasebook(
        "un/una; due; tre; quattro; cinque; sei; sette; otto; nove",
        "rosso/rossa/rossi/rosse; arancione/arancioni; giallo/gialla/gialli/gialle; verde/verdi; "
        "blu; viola; rosa; marrone/marroni; nero/nera/neri/nere; grigio/grigia/grigi/grigie; "
        "bianco/bianca",
        "grande/grandi; piccolo/piccola/piccoli/piccole",
        "{number} {size} {name} {colour}",
        "{a} a sinistra di {b}; {a} a destra di {b}; {a} sopra {b}/{a} al di sopra di {b}; "
        "{a} sotto {b}/{a} al di sotto di {b}",
        " e ",
        "{text} su sfondo {colour};{text}, sfondo {colour};{text} su uno sfondo {colour};"
        "{text} con sfondo {colour}",
        "sfondo", "{} chiaro;{} scuro",
        "rosso; arancione; giallo; verde; blu; viola; rosa; marrone; nero; grigio; bianco",
        "ca>che ga>ghe o>i a>e e>i",
    ),
    "pt": Phrasebook(
        "um/uma; dois/duas; três; quatro; cinco; seis; sete; oito; nove",
        "vermelho/vermelha/vermelhos/vermelhas; laranja; amarelo/amarela/amarelos/amarelas; "
        "verde/verdes; azul/azuis; roxo/roxa/roxos/roxas; rosa/cor-de-rosa; marrom/castanho; "
        "preto/preta/pretos/pretas; cinza/cinzento; branco/branca",
        "grande/grandes; pequeno/pequena/pequenos/pequenas",
        "{number} {name} {colour} {size}",
        "{a} à esquerda de {b}; {a} à direita de {b}; {a} acima de {b}/{a} em cima de {b}; "
        "{a} abaixo de {b}/{a} embaixo de {b}",
        " e ",
        "{text} em um fundo {colour};{text}, fundo {colour};{text} sobre fundo {colour};"
        "{text} com fundo {colour}",
        "fundo", "{} claro;{} escuro",
        "vermelho; laranja; amarelo; verde; azul; roxo; rosa; marrom; preto; cinza; branco",
        "ão>ões r>res z>zes m>ns l>is s>s >s",
    ),
    "ru": Phrasebook(
        "один/одна/одно; два/две; три; четыре; пять; шесть; семь; восемь; девять",
        "красный/красная/красное/красные/красных; оранжевый/оранжевая/оранжевых; "
        "жёлтый/жёлтая/желтый/жёлтых; зелёный/зелёная/зеленый/зелёных; синий/синяя/синих/голубой; "
        "фиолетовый/фиолетовая/фиолетовых; розовый/розовая/розовых; "
        "коричневый/коричневая/коричневых; чёрный/чёрная/черный/чёрных; серый/серая/серых; "
        "белый/белая",
        "большой/большая/большие; маленький/маленькая/маленькие",
        "{number} {size} {colour} {name}",
        "{a} слева от {b}; {a} справа от {b}; {a} над {b}; {a} под {b}",
        " и ",
        "{text} на {colour} фоне;{text}, {colour} фон;{text} на {colour} фоне",
        "фоне/фон", "светло-{};тёмно-{}",
        "красном/красный; оранжевом; жёлтом/жёлтый; зелёном/зелёный; синем/синий; фиолетовом; "
        "розовом/розовый; коричневом; чёрном/чёрный; сером/серый; белом/белый",
        "ка>ки а>ы я>и",
    ),
    "ja": Phrasebook(
        "一つの/一匹の/一個の; 二つの/二匹の/二個の; 三つの/三匹の/三個の; 四つの/四匹の/四個の; "
        "五つの/五匹の/五個の; 六つの/六匹の/六個の; 七つの/七匹の/七個の; 八つの/八匹の/八個の; "
        "九つの/九匹の/九個の",
        "赤い; オレンジ色の; 黄色い; 緑の/緑色の; 青い; 紫の/紫色の; ピンクの/ピンク色の; "
        "茶色の/茶色い; 黒い; 灰色の/グレーの; 白い",
        "大きな/大きい; 小さな/小さい",
        "{number}{size}{colour}{name}",
        "{b}の左に{a}/{a}が{b}の左にある; {b}の右に{a}/{a}が{b}の右にある; "
        "{b}の上に{a}/{a}が{b}の上にある; {b}の下に{a}/{a}が{b}の下にある",
        "と",
        "{colour}背景に{text};{colour}背景の{text};{text}、{colour}背景",
        "背景", "薄い{};濃い{}",
    ),
    "ko": Phrasebook(
        "한 개/한 마리; 두 개/두 마리; 세 개/세 마리; 네 개/네 마리; 다섯 개/다섯 마리; "
        "여섯 개/여섯 마리; 일곱 개/일곱 마리; 여덟 개/여덟 마리; 아홉 개/아홉 마리",
        "빨간/빨간색; 주황색; 노란/노란색; 초록색/녹색; 파란/파란색; 보라색; 분홍색/핑크색; 갈색; "
        "검은/검은색; 회색; 하얀/흰색",
        "큰; 작은",
        "{size} {colour} {name} {number}",
        "{b} 왼쪽에 {a}/{b}의 왼쪽에 있는 {a}; {b} 오른쪽에 {a}/{b}의 오른쪽에 있는 {a}; "
        "{b} 위에 {a}/{b}의 위에 있는 {a}; {b} 아래에 {a}/{b}의 아래에 있는 {a}",
        " 그리고 ",
        "{colour} 배경의 {text};{text}, {colour} 배경;{colour} 배경에 {text}",
        "배경/배경의/배경에", "연한 {};진한 {}",
    ),
    "hi": Phrasebook(
        "एक; दो; तीन; चार; पाँच/पांच; छह/छः; सात; आठ; नौ",
        "लाल; नारंगी; पीला/पीली/पीले; हरा/हरी/हरे; नीला/नीली/नीले; बैंगनी; गुलाबी; भूरा/भूरी/भूरे; "
        "काला/काली/काले; स्लेटी; सफ़ेद/सफेद",
        "बड़ा/बड़ी/बड़े; छोटा/छोटी/छोटे",
        "{number} {size} {colour} {name}",
        "{b} के बाईं ओर {a}; {b} के दाईं ओर {a}; {b} के ऊपर {a}; {b} के नीचे {a}",
        " और ",
        "{colour} पृष्ठभूमि पर {text};{text}, {colour} पृष्ठभूमि",
        "पृष्ठभूमि", "हल्की {};गहरी {}",
        "लाल; नारंगी; पीली; हरी; नीली; बैंगनी; गुलाबी; भूरी; काली; स्लेटी; सफ़ेद",
    ),
}  # fmt: skip
"""Language -> its phrasebook."""

SIGNS = tuple(word for book in BOOKS.values() for word in book.sign.split("/"))
