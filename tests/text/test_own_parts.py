"""What is said of parts of a thing's own body is no thing beside it."""

from __future__ import annotations

import pytest

from limner.text.own_parts import without_own_parts


@pytest.mark.parametrize(("language", "text", "plain"), [
    ("en", "a hippo brushing its teeth", "a hippo"),
    ("en", "a boy brushing his teeth with a toothbrush", "a boy with a toothbrush"),
    ("en", "a dog with a bone in its mouth", "a dog holding a bone"),
    ("en", "a mother with a baby in her arms", "a mother holding a baby"),
    ("en", "a turtle with a house on its back", "a turtle, on it a house"),
    ("en", "a seal balancing a ball on its nose", "a seal, on it a ball"),
    ("en", "a woman with a straw hat on her head", "a woman with a straw hat"),
    ("en", "a stack of books with a candle on top", "a stack of books, on it a candle"),
    ("en", "a girl with pink hair and a blue dress", "a girl with a blue dress"),
    ("en", "a teddy bear in her arms", "a teddy bear"),
    ("en", "two hands on a table", "two hands on a table"),
    ("en", "a rabbit with big ears", "a rabbit with big ears"),
    ("es", "un perro con un hueso en la boca", "un perro sosteniendo un hueso"),
    ("es", "un pirata con un loro en el hombro", "un pirata, encima un loro"),
    ("es", "un gato en la cama", "un gato en la cama"),
    ("fr", "un pirate avec un perroquet sur l'épaule", "un pirate, dessus un perroquet"),
    ("fr", "un chien avec un os dans la gueule", "un chien tenant un os"),
    ("de", "eine Frau mit einem Hut auf dem Kopf", "eine Frau mit einem Hut"),
    ("de", "ein Pirat mit einem Papagei auf der Schulter", "ein Pirat, darauf einem Papagei"),
    ("zh", "一只嘴里叼着骨头的狗", "一只叼着骨头的狗"),
    ("ja", "口に骨をくわえた犬", "口に骨をくわえた犬"),
])  # fmt: skip
def test_parts_are_said_by_what_they_do(language, text, plain):
    assert without_own_parts(text, language) == plain
