"""What is asked for, and how: words around what a picture shows, and for how its file looks."""

import pytest

from limner.text.request_words import subject, what_is_asked


@pytest.mark.parametrize(
    ("phrase", "asked"),
    [
        ("a picture of an apple", "an apple"), ("please draw me a kitty", "a kitty"),
        ("draw a kitty cat plz", "a kitty cat"), ("logo for a bakery", "a bakery"),
        ("oil painting of a sailing ship", "a sailing ship"), ("I'd like a horse", "a horse"),
        ("dibujo de una rana bonita", "una rana bonita"), ("帮我画一只小狗", "一只小狗"),
        ("quiero un logo para mi panadería", "mi panadería"), ("兔子的图标", "兔子"),
        ("un dessin d'un chat", "un chat"), ("ein Logo für unsere Bäckerei", "unsere Bäckerei"),
        ("帽子の絵を描いて", "帽子"), ("고양이 그림", "고양이"), ("heart icon", "heart"),
        ("logo for a flower shop called Rosie's", "a flower"), ("pet shop logo", "pet"),
        ("youtube thumbnail of a man", "a man"), ("instagram post about coffee", "coffee"),
        ("a seamless pattern of cats", "cats"), ("coloring page with a castle", "a castle"),
        ("a suitcase with stickers", "a suitcase with stickers"),
        ("logo para una tienda de flores", "flores"), ("a pic of a cat lol", "a cat"),
        ("omg a pizza pls", "omg a pizza"), ("u got a pizza?", "a pizza"),
        ("where does the sun sleep?", "the sun"), ("why is the sky blue?", "the blue sky"),
        ("icon", "icon"), ("画", "画"), ("draw", "draw"), ("drawer", "drawer"),
        ("a photographer", "a photographer"), ("design tools", "design tools"),
        ("could i get a picture of a kangaroo please", "a kangaroo"),
        ("i would love to see a peacock", "a peacock"),
        ("I want a picture for my room with a fox in a box", "a fox in a box"),
        ("we are opening a shop and need a picture of a bouquet of roses", "a bouquet of roses"),
        ("my favourite breakfast: an egg with a fork next to it", "an egg with a fork next to it"),
        ("flag: Japan", "flag: Japan"), ("add a tree and a house", "a tree and a house"),
        ("ingredients for a cake: flour, eggs and milk", "flour, eggs and milk"),
        ("a water cycle diagram with a cloud", "a cloud"), ("five stars to count", "five stars"),
        ("worksheet: five apples", "five apples"),
        ("there are two cats in a box", "two cats in a box"),
        ("an icon of a cat sitting under a tree", "a cat sitting under a tree"),
        ("a man painting with a brush", "a man painting with a brush"),
        ("给孩子画一条龙", "一条龙"), ("需要一张有蛋糕的图片", "蛋糕"),
        ("para la fiesta necesito una tarta y un regalo", "una tarta y un regalo"),
        ("desenha um dragão para o meu filho", "um dragão"), ("an owl for my homework", "an owl"),
        ("una seta en pixel art", "una seta"), ("a whale, flat design", "a whale"),
        ("画家在公园里", "画家在公园里"), ("地图", "地图"), ("hay bale", "hay bale"),
        ("male nurse", "male nurse"), ("male mir ein Haus", "ein Haus"),
        ("a smiling emoji with sunglasses", "a smiling emoji with sunglasses"),
        ("hay un gato en una caja", "un gato en una caja"), ("es gibt Kuchen", "Kuchen"),
        ("a cat, as a small drawing", "a cat"), ("a ship as an icon", "a ship"),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_found_in_how_it_is_asked(phrase, asked):
    assert subject(phrase) == asked


@pytest.mark.parametrize(
    ("text", "shown", "transparent"),
    [
        ("a cat wearing a hat, transparent background", "a cat wearing a hat", True),
        ("a cat on a Transparent backdrop", "a cat", True), ("透明背景的猫", "猫", True),
        ("кот на прозрачном фоне", "кот", True), ("chat sur fond transparent", "chat", True),
        ("a transparent png of a cat", "a cat", True), ("a house without background", "a house",
                                                        True),
        ("una casa sin fondo", "una casa", True), ("ein Hund ohne Hintergrund", "ein Hund", True),
        ("un perro con fondo transparente, alta calidad", "un perro", True),
        ("1girl, long silver hair, blue eyes, a cat", "1girl with silver hair, a cat", False),
        ("rocket icon png", "rocket", False), ("logo of a bakery, svg", "a bakery", False),
        ("a rocket sticker, white background, high quality, 4k", "a rocket", False),
        ("a red heart on a white background", "a red heart", False),
        ("un coche rojo, fondo blanco", "un coche rojo", False),
        ("一只猫，透明背景，高清", "一只猫", True), ("白色背景上的红心", "红心", False),
        ("ein Haus, weißer Hintergrund, 4k", "ein Haus", False),
        ("two fish on a green background", "two fish on a green background", False),
        ("a white background", "a white background", False), ("svg", "svg", False),
        ("a transparent background", "a transparent background", True),
        ("a transparent glass", "a transparent glass", False), ("透明的杯子", "透明的杯子", False),
        ("a photo of a png", "a png", False),
        ("minimalist logo of a mountain, black and white, svg", "a mountain", False),
        ("a man in white", "a man in white", False),
    ],
)  # fmt: skip
def test_how_a_file_should_look_is_not_drawn(text, shown, transparent):
    assert what_is_asked(text) == (shown, transparent)


def test_a_long_text_is_read_in_no_time():
    text = "a cat on a white background, 4k " * 4000
    assert what_is_asked(text) == (text, False)
