"""Instructions in the taught languages are read as what they say."""

import pytest

from limner.scenes.instructions import Behind, Reading, is_pronoun, readings
from limner.scenes.places import Setting


@pytest.mark.parametrize(
    ("text", "meant"),
    [("make the cat blue", Reading("colour", "the cat", "", "blue")),
     ("please change the colour of the car to grey.", Reading("colour", "the car", "", "grey")),
     ("add a hat", Reading("add", "", "a hat")),
     ("give the cat a hat", Reading("give", "the cat", "a hat")),
     ("remove the dog", Reading("remove", "the dog")),
     ("make it bigger", Reading("bigger", "it")),
     ("move the sun to the left", Reading("left", "the sun")),
     ("put the dog right of the cat", Reading("move", "", "the dog right of the cat")),
     ("a red car instead of the bus", Reading("replace", "the bus", "a red car")),
     ("two dogs instead of one", Reading("replace", "one", "two dogs")),
     ("replace the bus with a red car", Reading("replace", "the bus", "a red car")),
     ("把猫变成蓝色", Reading("colour", "猫", "", "blue")), ("去掉狗", Reading("remove", "狗")),
     ("添加一顶帽子", Reading("add", "", "一顶帽子")), ("把太阳移到左边", Reading("left", "太阳")),
     ("把公共汽车换成红色的汽车", Reading("replace", "公共汽车", "红色的汽车")),
     ("haz el gato azul", Reading("colour", "el gato", "", "blue")),
     ("quita el perro", Reading("remove", "el perro")),
     ("mueve el sol a la izquierda", Reading("left", "el sol")),
     ("rends le chat bleu", Reading("colour", "le chat", "", "blue")),
     ("enlève le chien", Reading("remove", "le chien")),
     ("remplace le bus par une voiture rouge", Reading("replace", "le bus", "une voiture rouge")),
     ("mach die Katze blau", Reading("colour", "die Katze", "", "blue")),
     ("entferne den Hund", Reading("remove", "den Hund")),
     ("füge einen Hut hinzu", Reading("add", "", "einen Hut")),
     ("rendi il gatto blu", Reading("colour", "il gatto", "", "blue")),
     ("togli il cane", Reading("remove", "il cane")),
     ("pinte o gato de azul", Reading("colour", "o gato", "", "blue")),
     ("remova o cachorro", Reading("remove", "o cachorro")),
     ("сделай кошку синей", Reading("colour", "кошку", "", "blue")),
     ("убери собаку", Reading("remove", "собаку")),
     ("猫を青くして", Reading("colour", "猫", "", "blue")), ("犬を消して", Reading("remove", "犬")),
     ("고양이를 파란색으로 바꿔줘", Reading("colour", "고양이", "", "blue")),
     ("개를 지워줘", Reading("remove", "개")),
     ("बिल्ली को नीला कर दो", Reading("colour", "बिल्ली", "", "blue")),
     ("कुत्ते को हटा दो", Reading("remove", "कुत्ते")),
     ("बिल्ली को टोपी पहनाओ", Reading("give", "बिल्ली", "टोपी")),
     ("сделай кошку синего цвета", Reading("colour", "кошку", "", "blue")),
     ("надень на кошку шляпу", Reading("give", "кошку", "шляпу")),
     ("اجعل القطة زرقاء", Reading("colour", "القطة", "", "blue")),
     ("اجعل لون السيارة أحمر", Reading("colour", "السيارة", "", "red")),
     ("غير لون القطة إلى اللون الأخضر", Reading("colour", "القطة", "", "green")),
     ("لون القطة بالأصفر", Reading("colour", "القطة", "", "yellow")),
     ("اجعلها سوداء", Reading("colour", "ها", "", "black")),
     ("من فضلك أضف قبعة", Reading("add", "", "قبعة")),
     ("أضف قبعة للقطة", Reading("give", "قطة", "قبعة")),
     ("احذف الكلب", Reading("remove", "الكلب")), ("ازل الكلب", Reading("remove", "الكلب")),
     ("استبدل الكلب بحصان", Reading("replace", "الكلب", "حصان")),
     ("حصان بدلا من الكلب", Reading("replace", "الكلب", "حصان")),
     ("اجعل الكلب أكبر", Reading("bigger", "الكلب")),
     ("حرك الشمس إلى اليسار", Reading("left", "الشمس")),
     ("voeg een rode hoed toe", Reading("add", "", "a red hat")),
     ("maak het groter", Reading("bigger", "it")),
     ("maak de auto rood", Reading("colour", "a car", "", "red")),
     ("twee honden in plaats van een", Reading("replace", "one", "two dogs")),
     ("usuń kota", Reading("remove", "a cat")),
     ("zamień psa na ptaka", Reading("replace", "a dog", "a bird")),
     ("postaw kota obok psa", Reading("move", "", "the cat next to a dog")),
     ("zet een boom naast het huis", Reading("move", "", "a tree next to a house")),
     ("kediyi maviye boya", Reading("colour", "a cat", "", "blue")),
     ("kediyi köpeğin yanına koy", Reading("move", "", "the cat next to a dog")),
     ("fesd kékre a macskát", Reading("colour", "a cat", "", "blue")),
     ("cseréld az autót buszra", Reading("replace", "a car", "a bus")),
     ("vaihda auto bussiin", Reading("replace", "a car", "a bus")),
     ("گربه را کنار سگ بگذار", Reading("move", "", "the cat next to a dog")),
     ("החלף את הכלב בציפור", Reading("replace", "a dog", "a bird")),
     ("намалюй дерево біля будинку", Reading("add", "", "a tree next to a house"))],
)  # fmt: skip
def test_read_as_meant(text, meant):
    assert meant in list(readings(text))


@pytest.mark.parametrize(
    ("text", "setting"),
    [("at night", Setting(night=True)), ("make it night", Setting(night=True)),
     ("on a beach", Setting("beach")),
     ("put it on a beach at sunset", Setting("beach", sunset=True)),
     ("in the snow", Setting("snow")), ("晚上", Setting(night=True)),
     ("在沙滩上", Setting("beach")), ("de noche", Setting(night=True)),
     ("en la playa", Setting("beach")), ("nachts", Setting(night=True)),
     ("am Strand", Setting("beach")),
     ("sur la plage", Setting("beach")), ("di notte", Setting(night=True)),
     ("na praia", Setting("beach")), ("ночью", Setting(night=True)), ("на пляже", Setting("beach")),
     ("夜に", Setting(night=True)), ("浜辺で", Setting("beach")), ("밤에", Setting(night=True)),
     ("해변에서", Setting("beach")), ("रात में", Setting(night=True)),
     ("à noite", Setting(night=True)), ("밤으로 바꿔줘", Setting(night=True)),
     ("रात कर दो", Setting(night=True)), ("في الليل", Setting(night=True)),
     ("ليلا", Setting(night=True)), ("على الشاطئ", Setting("beach")),
     ("'s nachts", Setting(night=True)), ("zet het op het strand", Setting("beach")),
     ("на пляжі", Setting("beach")), ("rannalla", Setting("beach")),
     ("laat het sneeuwen", Setting("snow"))],
)  # fmt: skip
def test_places_and_times(text, setting):
    first = next(readings(text))
    assert isinstance(first, Behind) and first.setting == setting


def test_plain_backgrounds_and_days():
    for text in ("on a blue background", "make the background blue", "蓝色背景", "fondo azul",
                 "على خلفية زرقاء", "اجعل الخلفية زرقاء", "maak de achtergrond blauw",
                 "arka planı mavi yap", "پس زمینه را آبی کن", "tee tausta siniseksi"):  # fmt: skip
        first = next(readings(text))
        assert isinstance(first, Behind) and first.setting is None
        red, green, blue = first.background
        assert blue > max(red, green)
    for text in ("on a white background", "remove the background", "without background",
                 "احذف الخلفية", "على خلفية بيضاء"):  # fmt: skip
        assert Behind() in list(readings(text))
    assert next(readings("by day")) == Behind(Setting(), day=True)


def test_what_stands_for_anything():
    assert is_pronoun("it") and is_pronoun("它") and is_pronoun("todo") and is_pronoun("ها")
    assert not is_pronoun("the cat")


def test_what_is_not_known_is_not_said_again():
    """Words of a language with a glossary name a thing only where all of them are known."""
    said = [each for each in readings("fesd frobra a macskát") if each.change == "be"]
    assert all("macskát" in each.other for each in said)
