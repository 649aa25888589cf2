"""Words for colours in languages that sentences are not read in, as English ones.

A name in such a language is known by its nearest one (:mod:`limner.models.concepts`), in which the
colour is lost: *kırmızı araba* (red car) is near *car*. Words that are some other word of a
language that is read are left out (Swedish *vit*, white; Danish *sort*, black).
"""

from __future__ import annotations

from limner.text.spaceless import whole_words

_WORDS = {
    "pink": r"pembe|roze|różow(?:y|a|e|ą)|růžov(?:ý|á|é)|рожев(?:ий|а|е)|vaaleanpunainen|"
            r"rózsaszín|merah muda|màu hồng|ροζ",
    "red": r"kırmızı|(?<=\bde )rode|(?<=\been )rode|rood|czerwon(?:y|a|e|ą|ego|ych)|röd(?:a|t)?|"
           r"rød(?:e|t)?|červen(?:ý|á|é|ou)|червон(?:ий|а|е|і|у)|punai(?:nen|set)|piros|roș(?:u|ie)|"
           r"merah|màu đỏ|đỏ|κόκκιν(?:ο|η|ος)",
    "orange": r"turuncu|oranje|pomarańczow(?:y|a|e|ą)|oranžov(?:ý|á|é)|помаранчев(?:ий|а|е)|"
              r"oranssi|narancssárga|portocaliu|oranye|màu cam|πορτοκαλί",
    "yellow": r"sarı|geel|gele|żółt(?:y|a|e|ą|ych)|gul(?:a|t|e)?|žlut(?:ý|á|é|ou)|"
              r"жовт(?:ий|а|е|і|у)|keltai(?:nen|set)|sárga|galben(?:ă|i)?|kuning|màu vàng|"
              r"κίτριν(?:ο|η|ος)",
    "green": r"yeşil|groene?|zielon(?:y|a|e|ą|ego|ych)|grön(?:a|t)?|grønn?(?:e|t)?|"
             r"zelen(?:ý|á|é|ou)|зелений|vihreä|zöld|hijau|màu xanh lá(?: cây)?|xanh lá(?: cây)?|"
             r"πράσιν(?:ο|η|ος)",
    "blue": r"mavi|blauwe?|niebiesk(?:i|a|ie|ą|ich)|błękitn(?:y|a|e)|blå(?:a|tt)?|"
            r"modr(?:ý|á|é|ou)|синій|синя|синє|блакитн(?:ий|а|е)|sininen|kék|albastr(?:u|ă)|biru|"
            r"màu xanh(?: dương| da trời)?|xanh dương|μπλε",
    "purple": r"paarse?|fioletow(?:y|a|e|ą)|fialov(?:ý|á|é)|фіолетов(?:ий|а|е)|violetti|ungu|"
              r"màu tím|μωβ",
    "brown": r"kahverengi|bruine?|brązow(?:y|a|e|ą)|hněd(?:ý|á|é)|коричневий|ruskea|cokelat|"
             r"màu nâu|καφέ",
    "black": r"siyah|zwarte?|czarn(?:y|a|e|ą|ego|ych)|svart(?:a|e)?|čern(?:ý|á|é|ou)|"
             r"чорн(?:ий|а|е|і|у)|musta|fekete|negru|neagră|hitam|màu đen|μαύρ(?:ο|η|ος)",
    "grey": r"grijze?|szar(?:y|a|e|ą)|grå(?:a|tt)?|šed(?:ý|á|é)|сір(?:ий|а|е)|harmaa|szürke|"
            r"abu-abu|màu xám",
    "white": r"beyaz|witte|biał(?:y|a|e|ą|ego|ych)|hvit(?:e|t)?|hvid(?:e|t)?|bíl(?:ý|á|é|ou)|"
             r"біл(?:ий|а|е|і|у)|valkoinen|fehér|albă|putih|màu trắng|(?:λευκ|άσπρ)(?:ό|ο|ή|η)",
}  # fmt: skip
"""Colour -> its words in Turkish, Dutch, Polish, Swedish, Danish, Norwegian, Finnish, Czech,
Ukrainian, Hungarian, Romanian, Indonesian, Vietnamese and Greek; those within others come later."""
_PATTERNS = {colour: whole_words(words) for colour, words in _WORDS.items()}


def with_english_colours(text: str) -> str:
    """A text whose words for colours, of languages that sentences are not read in, are English."""
    for colour, pattern in _PATTERNS.items():
        text = pattern.sub(colour, text)
    return text
