"""What the shipped model draws for words that are easily read wrongly."""

from __future__ import annotations

import pytest

from limner.generation.generator import Generator
from limner.generation.prompt_reader import PromptReader, ReadPrompt
from limner.generation.scene_planning import ScenePlanner
from limner.models.settings import Settings
from limner.shipped import shipped_models
from limner.text.lexicon import languages_of
from limner.text.rewording import reworded

pytestmark = [
    pytest.mark.skipif(not shipped_models(), reason="no model is shipped in this tree"),
    pytest.mark.filterwarnings("ignore::limner.generation.prompts.PromptWarning"),
]


@pytest.fixture(scope="module")
def reader(shipped: Generator) -> PromptReader:
    return PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "it", scenes=True)


def read(reader: PromptReader, prompt: str) -> ReadPrompt:
    (found,) = reader.read([reader.asked(prompt, Settings())[0]])
    assert isinstance(found, ReadPrompt)
    return found


@pytest.mark.parametrize(
    ("prompt", "things"),
    [
        ("search icon", ["magnifying glass tilted left"]), ("download", ["inbox tray"]),
        ("in the circus", ["circus tent"]), ("on the moon", ["crescent moon"]),
        ("in the office", ["office building"]), ("by the river", []),
        ("in the sky a plane flies", ["cloud"]), ("at the zoo", ["lion", "giraffe", "elephant"]),
        ("elephant at the circus", ["elephant", "circus tent"]),
        ("trophy for the winner", ["trophy"]), ("a gift for mom", ["wrapped gift", "woman"]),
        ("un regalo para mamá", ["wrapped gift", "woman"]),
        ("ein Knochen für den Hund", ["bone", "dog"]), ("кость для собаки", ["bone", "dog"]),
        ("i love cats", ["cat", "red heart"]), ("I need coffee", ["hot beverage"]),
        (
            "the bear and the rabbit drink tea",
            ["bear", "rabbit", "teacup without handle", "small square table"],
        ),
        ("empty glass", ["wine glass empty"]), ("empty bottle", ["bottle"]),
        ("full house", ["poker hand"]), ("wet paint", ["wet paint sign"]),
        ("a closed door", ["door"]), ("wilted rose", ["wilted flower"]),
        ("yes", ["check mark button"]), ("hammer and nails", ["hammer", "nails"]),
        ("a wolf dressed up as grandma", ["wolf", "woman’s hat"]), ("electric car", ["automobile"]),
        ("happy and excited dog", ["dog"]),
        ("pterodactyl flying over a volcano", ["dragon", "volcano"]),
        ("lobster dinner", ["lobster", "large basic plate"]),
        ("avocado toast", ["avocado", "bread"]), ("a cold winter day", []),
        ("in the garden a girl picks flowers", ["girl", "blossom"]),
        ("it's raining cats and dogs", ["cat", "dog"]),
        ("a calm night with a full moon over a lake and an owl", ["full moon", "owl"]),
        ("a doctor talking to a patient", ["health worker", "person in bed"]),
        ("farm animals", ["cow", "pig", "ewe", "chicken"]),
        ("海洋动物", ["dolphin", "octopus", "fish", "crab"]),
        ("Musikinstrumente", ["guitar", "violin", "trumpet", "drum"]),
        ("new year's eve", ["fireworks"]), ("graduation", ["graduation cap"]),
        ("夜空", ["crescent moon", "star"]),
        ("eine Schneeballschlacht", ["child", "white circle"]),
        ("a snail race", ["snail", "chequered flag"]),
        ("a haunted house", ["ghost", "derelict house"]),
        ("a light at the end of the tunnel", ["light", "tunnel"]),
        ("a couple dancing under the stars", ["woman dancing", "man dancing"]),
        ("a dancing couple", ["woman dancing", "man dancing"]),
        ("a couple on a bench", ["man", "woman", "bench"]),
        ("a happy family on a bench", ["man", "woman", "girl", "bench"]),
        ("a family of ducks on a bench", ["duck", "bench"]),
        ("an icon for settings", ["gear"]), ("下载图标", ["inbox tray"]),
        ("icono de buscar", ["magnifying glass tilted left"]), ("Einstellungen", ["gear"]),
        ("a wolf howling at the moon", ["wolf", "crescent moon"]),
        ("a dog barking at a cat", ["dog", "cat"]),
        ("un lobo aullando a la luna", ["wolf", "crescent moon"]),
        ("ein Kind bläst Seifenblasen im Garten", ["child", "bubbles"]),
        ("小孩在吹泡泡", ["child", "bubbles"]),
        ("a sleeping cat", ["cat", "ZZZ"]), ("a man on a bridge", ["man", "stone bridge"]),
        ("a bridge", ["bridge"]), ("a girl and her dog in the park", ["girl", "dog"]),
        ("a hippo in a tutu", ["hippopotamus", "dress"]),
        ("a dog with a cowboy hat", ["dog face", "cowboy hat"]),
        ("a cup on a window sill", ["hot beverage", "window"]),
        ("月亮和星星", ["crescent moon", "star"]), ("爸爸和女儿", ["man", "girl"]),
        ("Sonne und Mond", ["sun", "crescent moon"]), ("salt and pepper", ["salt"]),
        ("el sol y la luna", ["sun", "crescent moon"]),
        ("a cup of green tea", ["teacup without handle"]),
        ("una taza de té", ["teacup without handle"]), ("a vase of flowers", ["bouquet"]),
        ("a plate of spaghetti and meatballs", ["spaghetti"]),
        ("ein Glas Milch", ["glass of milk"]),
        ("a basket of apples", ["basket", "red apple"]), ("a red panda", ["raccoon"]),
        ("a squirrel eating a nut", ["chipmunk", "chestnut"]),
        ("穿红裙子的女孩", ["girl", "dress"]),
        ("a grandfather baking bread with his granddaughter", ["old man", "bread", "girl"]),
        ("an old man fishing by the lake", ["old man", "fishing pole"]),
        ("a wooden spoon", ["spoon"]), ("a fluffy white cloud", ["cloud"]),
        ("a rainbow colored umbrella", ["umbrella"]), ("a pink bow", ["ribbon"]),
        ("a black and white drawing of a lighthouse", ["light house"]),
        (
            "dos amigos tomando café", ["man", "woman", "hot beverage", "small square table"]
        ),
        ("una abuela tejiendo", ["old woman", "yarn"]), ("奶奶在织毛衣", ["old woman", "yarn"]),
        ("un gato negro en el tejado", ["black cat", "house"]),
        ("die Schaufel und der Eimer", ["shovel", "bucket"]), ("chat", ["chat"]),
        ("ёжик и гриб", ["hedgehog", "mushroom"]), ("a crow on a log", ["black bird", "wood"]),
        ("une tasse de chocolat chaud", ["hot beverage"]),
        ("king and queen", ["prince", "princess"]),
        ("a woman painting a picture", ["woman", "artist palette"]), ("一只黑狗", ["dog"]),
        ("a bowl of rice", ["cooked rice"]),
        ("a blue and white teapot", ["teapot"]), ("a margarita", ["cocktail glass"]),
        ("el sol con gafas", ["sun", "glasses"]), ("a ship in a storm", ["ship"]),
        ("a snowman wearing a blue scarf", ["snowman", "scarf"]),
        ("two cats playing with a ball of yarn", ["cat", "yarn"]),
        ("una taza de chocolate caliente", ["hot beverage"]),
        ("ein Apfelbaum", ["deciduous tree"]), ("a wedding cake", ["birthday cake"]),
        ("un perro bombero", ["dog face", "rescue worker’s helmet"]),
        ("my son's birthday party", ["boy", "birthday cake"]),
        ("أسد وقطة", ["lion", "cat"]), ("el vecino lava el coche", ["person", "automobile"]),
        ("I feel so lonely", ["pensive face"]), ("3 books", ["open book"]),
        ("happy new year fireworks", ["fireworks"]), ("a hot air balloon", ["hot air balloon"]),
        ("a table lamp", ["bed lamp"]), ("a crywtal ball", ["crystal ball"]),
        ("arinbow", ["rainbow"]), ("a prihter", ["printer"]),
        ("two dgos playing wiht a bal", ["dog", "soccer ball"]), ("a banker", ["office worker"]),
        ("a colleague", ["office worker"]), ("a lonely whale", ["whale"]),
        ("red envelpoe", ["red envelope"]), ("a bowl of ramen", ["steaming bowl"]),
        ("кошка без шляпы", ["cat"]), ("拿着红色的伞的女孩", ["girl", "umbrella"]),
        ("女の子三人と男の子二人", ["girl", "boy"]), ("안경 쓴 할머니", ["old woman", "glasses"]),
        ("un campesino con una vaca", ["farmer", "cow"]), ("a horse jumps", ["horse"]),
        ("una niña triste", ["girl"]), ("一个伤心的男孩", ["boy"]),
        ("郵便配達員", ["man", "envelope"]), ("une boulangère avec du pain", ["cook", "bread"]),
        ("춤추는 두 사람", ["woman dancing"]),
        ("她在看书", ["woman", "open book"]), ("собака бежит по парку", ["dog"]),
        ("rocket planet stars space", ["rocket", "ringed planet", "star"]),
        ("एक आदमी मछली पकड़ रहा है", ["man", "fishing pole"]),
        ("le petit chat dort sur le canapé", ["cat", "ZZZ", "couch and lamp"]),
        ("el gato pequeño en la mesa", ["cat", "small square table"]),
        ("il piccolo cane sul letto", ["dog", "bed"]),
        ("la grand-mère et le petit chien", ["old woman", "dog"]),
        ("un joli chat sur la table", ["cat", "small square table"]),
        ("una bella fiore e un vecchio cane", ["blossom", "dog"]),
        ("eine süße Katze auf dem Bett", ["cat", "bed"]), ("一只开心的狗", ["dog"]),
        ("かわいい猫", ["cat"]), ("une jeune fille", ["girl"]), ("un libro abierto", ["open book"]),
        ("ein Hund im Zoo", ["dog"]), ("un pez en el acuario", ["fish", "fishbowl"]),
        ("un gato en la playa y un perro", ["cat", "dog"]),
        ("ein Hund am Strand und eine Katze", ["dog", "cat"]),
        ("un prince sur la plage avec un chien", ["prince", "dog"]),
        ("um gato na praia e um cachorro", ["cat", "dog"]),
        ("un orso nel bosco e un coniglio", ["bear", "rabbit"]),
        ("un perro en el campo de flores", ["dog", "blossom"]),
        ("i miss you", ["crying face"]), ("three candles in the dark", ["candle"]),
        ("ein Ritter kämpft gegen einen Drachen", ["man", "shield", "dragon"]),
        ("a beautiful red rose", ["rose"]),
        ("一只熊猫在厨房里做蛋糕", ["panda", "shortcake"]),
        ("a man riding a bicycle", ["man biking"]),
        ("a child in bed", ["person in bed"]), ("a girl on a swing", ["girl", "basketswing"]),
        ("a cat dressed as a pirate", ["cat face", "pirate hat"]),
        ("a sailboat at sunset", ["sailboat"]), ("an elephant spraying water", ["elephant"]),
        ("teh cat and teh dog", ["cat", "dog"]),
        ("un pulpo tocando la batería", ["octopus", "drum"]),
        ("기타 치는 소년", ["boy", "guitar"]), ("はちみつを食べるクマ", ["bear", "honey pot"]),
        ("رائد فضاء على القمر", ["astronaut"]), ("piove", ["cloud with rain"]),
    ],
)  # fmt: skip
def test_what_is_drawn(shipped, prompt, things):
    (picture,) = shipped.generate(prompt, seed=3, size=16)
    assert [each.drawn for each in picture.drawn_from] == things


@pytest.mark.parametrize(
    ("prompt", "counts"),
    [
        ("قطتان", [2]), ("half a dozen eggs", [6]), ("3 girls and 2 boys", [3, 2]),
        ("女の子三人と男の子二人", [3, 2]), ("개 두 마리", [2]), ("tredici stelle", [9]),
        ("un par de perros", [2]), ("ولد يحمل بالونا", [1, 1]),
    ],
)  # fmt: skip
def test_how_many_are_drawn(shipped, prompt, counts):
    (scene,) = ScenePlanner(shipped.encoder).understand(
        [plain := reworded(prompt, languages_of(prompt), lambda _: False)],
        shipped.encoder.encode([plain]), shipped.concepts,
    )  # fmt: skip
    assert [thing.count for thing in scene.plan.things] == counts


@pytest.mark.parametrize(
    ("prompt", "figures"),
    [
        ("a boy flying a kite", ["man standing", None]),
        ("a girl on a swing", ["woman in lotus position", None]),
        ("an old woman walking her dog", ["woman walking", None]),
        ("children playing in the snow", ["person standing"]),
        ("a grandmother and her grandson baking cookies", ["woman standing", "man standing", None]),
        ("a woman in a car", []), ("a woman wearing a hat", []), ("a man and a woman", []),
        ("ein Mann sitzt auf einer Bank", ["man in lotus position", None]),
        ("两个男孩在放风筝", ["man standing", None]),
    ],
)  # fmt: skip
def test_who_does_something_has_a_body(reader, prompt, figures):
    scene = read(reader, prompt).scene
    assert scene is not None
    assert [*scene.figures] == figures


@pytest.mark.parametrize("prompt", ["a sad girl", "un niño enfadado", "泣いている男の子"])
def test_children_who_are_sad_frown(reader, prompt):
    scene = read(reader, prompt).scene
    assert scene is not None
    assert scene.sad == {0}


@pytest.mark.parametrize(
    ("prompt", "counts"),
    [
        ("penguins", [3]), ("my cats", [3]),
        ("two penguins", [2]), ("houses", None), ("socks", None), ("a penguin", None),
    ],
)  # fmt: skip
def test_a_plural_alone_is_several_things(reader, prompt, counts):
    scene = read(reader, prompt).scene
    found = None if scene is None else [thing.count for thing in scene.plan.things]
    assert found == counts


@pytest.mark.parametrize(
    ("prompt", "thing"),
    [
        ("большой синий кит", "whale"), ("ein kleiner roter Vogel", "bird"),
        ("un petit oiseau rouge", "bird"), ("حوت أزرق كبير", "whale"), ("बड़ी नीली व्हेल", "whale"),
        ("큰 파란 고래", "whale"), ("प्यारी बिल्ली", "cat"),
        ("eine Tasse heißer Kaffee", "hot beverage"), ("une charrette", "wagon"),
        ("красивая девушка", "woman"), ("uma padeira", "cook"),
    ],
)  # fmt: skip
def test_adjectives_leave_a_thing_what_it_is(reader, prompt, thing):
    found = read(reader, prompt).drawn_from[0]
    assert (found.drawn, found.known) == (thing, True)


@pytest.mark.parametrize(
    ("prompt", "things"),
    [
        ("a palm on the beach", ["palm tree"]), ("a garden hose", ["knot"]),
        ("palms up together", ["palms up together"]), ("eine blaue Hose", ["jeans"]),
        ("a rainy day in paris", []), ("his cows eat grass", ["cow"]),
        ("Hapy brithday", ["birthday cake"]), ("happy halowen", ["jack-o-lantern"]),
        ("mom cutting onions", ["woman", "onion"]), ("blue running shoes", ["running shoe"]),
        ("man lifting weights", ["man lifting weights"]), ("lunch box", ["bento box"]),
        ("umbrella with beach", ["beach with umbrella"]), ("clouds in face", ["face in clouds"]),
        ("a chart deceasing", ["chart decreasing"]), ("a prrot", ["parrot"]),
        ("a hme", ["home"]), ("a womn with a hat", ["woman", "top hat"]),
        ("a black hat", ["top hat"]), ("a red cat", ["cat"]), ("uma rosa", ["rose"]),
        ("logo for a surf school", ["person surfing"]), ("playing cards", ["card game cards"]),
    ],
)  # fmt: skip
def test_names_in_other_letters(reader, prompt, things):
    assert [each.drawn for each in read(reader, prompt).drawn_from] == things


@pytest.mark.parametrize(
    ("prompt", "thing", "tint"),
    [
        ("kırmızı bir araba", "automobile", "red"), ("mavi kuş", "bird", "blue"),
        ("een rode auto", "automobile", "red"), ("en röd bil", "automobile", "red"),
        ("czerwony samochód", "automobile", "red"), ("modrý pták", "bird", "blue"),
    ],
)  # fmt: skip
def test_colours_of_languages_that_sentences_are_not_read_in(reader, prompt, thing, tint):
    found = read(reader, prompt)
    assert found.drawn_from[0].drawn == thing
    assert [each.tint for each in found.scene.plan.things] == [tint]
