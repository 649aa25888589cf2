"""Texts in plainer words: measures, baskets, doings and colours of one sign."""

import pytest

from limner.text.greetings import Greeting, greeting_of
from limner.text.lexicon import languages_of
from limner.text.rewording import reworded

NAMES = {"红酒", "红绿灯", "黑板", "绿茶", "glass of milk", "plate of food", "وردة"}


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a plate of spaghetti and meatballs", "a spaghetti and meatballs"),
        ("a dragon guarding a pile of gold", "a dragon guarding a gold"),
        ("a stack of books", "books"),
        ("a penguin family on ice", "a family of penguins on ice"),
        ("a snail race", "three snails and a chequered flag"), ("a car race", "a car race"),
        ("a message in a bottle", "a scroll in a bottle"), ("a cup half full", "a cup"),
        ("my coffee break", "a cup of coffee"),
        ("a happy family", "a happy family"), ("a spider on its web", "a spider on its spider web"),
        ("a black and white cat on a sofa", "a cat on a sofa"),
        ("a dress the colour of grass", "a green dress"), ("an off-white sofa", "a white sofa"),
        ("a lemon-coloured shirt", "a yellow shirt"), ("ein himmelblaues Auto", "ein blaues Auto"),
        ("a light-blue car", "a light-blue car"), ("空色の車", "青い車"),
        ("a mouse as big as an elephant", "a big mouse and a elephant"),
        ("比大象还大的老鼠", "大老鼠和小大象"), ("leaves in october", "leaves in autumn"),
        ("the first day of spring", "tulips in a meadow"),
        ("no dogs allowed", "dog and prohibited"),
        ("a dancing couple", "a woman-dancing and a man-dancing"),
        ("a centaur with a bow", "a centaur with a bow-and-arrow"),
        ("a pile of treasure", "a treasure chest"),
        ("a cat on the moon", "a cat on the lunar surface"),
        ("兔子在月亮上", "兔子在月球表面"),
        ("ein Hund auf dem Mars", "ein Hund auf der Marsoberfläche"),
        ("castaways on a desert island", "castaways on the beach"),
        ("deux chats sur une île déserte", "deux chats sur la plage"),
        ("un gato blanco y negro", "un gato"), ("a wolf family", "a family of wolves"),
        ("happy birthday grandma", "grandma with a birthday cake"),
        ("three slices of pizza on a table", "three pizza on a table"),
        ("ein Stück Kuchen", "ein Kuchen"), ("un plato de sopa", "un sopa"),
        ("a basket of apples", "a basket full of apples"),
        ("boat lake sunset", "boat lake sunset"),
        ("a goldfish in a bowl", "a goldfish in a fishbowl"),
        ("a field of sunflowers", "sunflowers in a field"),
        ("a vase of tulips on a wooden table", "tulips in a vase on a wooden table"),
        ("a blue vase with red roses", "red roses in a blue vase"),
        ("a vase with a crack", "a vase with a crack"),
        ("小狗追着红色的球跑", "小狗追着红色的球"), ("孩子追着蝴蝶", "孩子追着蝴蝶"),
        ("ein Sonnenblumenfeld", "Sonnenblumen auf einem Feld"),
        ("a night sky full of stars", "stars at night"),
        ("un campo de fútbol", "un campo de fútbol"),
        ("ein Mann im Anzug mit Krawatte", "ein man-in-tuxedo"),
        ("猫在爬树", "猫在树上"), ("木に登る猫", "木の上にいる猫"),
        ("나무에 오르는 고양이", "나무 위에 있는 고양이"),
        ("男の子がテレビを見ている", "男の子がテレビの隣にいる"),
        ("قطة تتسلق شجرة", "قطة على شجرة"),
        ("强生给两个孩子讲故事", "强生在两个孩子旁边"), ("un pájaro cantando", "un pájaro"),
        ("a bowl of strawberries", "a bowl full of strawberries"),
        ("a bowl of fruit", "a bowl full of fruit"), ("a bowl of soup", "a soup"),
        ("a dog on the left and a cat on the right", "a dog to the left of a cat"),
        ("eine Kiste Äpfel", "eine Kiste voller Äpfel"),
        ("an old man fishing by the lake", "an old man holding a fishing pole by the lake"),
        ("a girl who is singing", "a girl holding a microphone"),
        ("una abuela tejiendo", "una abuela sosteniendo un ovillo de lana"),
        ("eine Oma, die strickt", "eine Oma hält ein Wollknäuel"),
        ("un homme en train de pêcher", "un homme tenant une canne à pêche"),
        ("奶奶在织毛衣", "奶奶拿着毛线"), ("钓鱼的老人", "拿着鱼竿的老人"),
        ("мальчик читает под деревом", "мальчик держит книгу под деревом"),
        ("낚시하는 할아버지", "낚싯대를 든 할아버지"), ("穿红裙子的女孩", "穿红色裙子的女孩"),
        ("喝红酒的女人在黑板前", "喝红酒的女人在黑板前"), ("红红的太阳", "红红的太阳"),
        ("一篮水果", "装满水果的篮子"), ("蓝裙子的公主", "穿蓝色裙子的公主"),
        ("红绿灯", "红绿灯"), ("a glass of milk", "a glass of milk"),
        ("a plate of food", "a plate of food"), ("a fishing boat", "a fishing boat"),
        ("a man painting a fence", "a man painting a fence"), ("fishing", "fishing"),
        ("der Hund liegt auf dem Teller", "der Hund liegt auf dem Teller"),
        ("a room with a painting", "a room with a painting"),
        ("una mela e la pesca", "una mela e la pesca"),
        ("a man reading a book", "a man reading a book"), ("钓鱼", "钓鱼"),
        ("his dogs eat bones", "his dogs eating bones"), ("dogs chase cats", "dogs chasing cats"),
        ("boys run in the park", "boys in the park"), ("when pigs fly", "pigs flying"),
        ("geese flying south", "geese flying"), ("kids play", "kids"),
        ("kids play tennis in the park", "kids playing tennis in the park"),
        ("an energy drink", "an energy drink"), ("a glass hold", "a glass hold"),
        ("tiny mouse huge cheese", "a tiny mouse and a huge cheese"),
        ("red panda white background", "red panda white background"),
        ("a goat eating my laundry", "a goat eating t-shirt"),
        ("a horse pulling a cart", "a horse pulling a wagon"),
        ("a kid pushing a cart", "a kid pushing a cart"),
        ("a tray of cookies", "cookies"), ("a mug that says best dad", "a mug"),
        ("a goalkeeper", "a person with a goal-net"),
        ("kids trick or treating", "kids with a jack-o-lantern at night"),
        ("birthday card for my grandma", "birthday and my grandma"),
        ("kids trick or treating on halloween", "kids with a jack-o-lantern at night"),
        ("valentines day card", "a red heart and a bouquet"),
        ("eine Geburtstagskarte für Oma", "birthday-cake und Oma"),
        ("奶奶的生日卡", "birthday-cake和奶奶"),
        ("a fisherman with a net", "a fisherman with a fishing-net"),
    ],
)  # fmt: skip
def test_plainer_words(text, plain):
    assert reworded(text, languages_of(text), NAMES.__contains__) == plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("I feel so lonely", "pensive face"),
        ("so happy today!", "smiling face with smiling eyes"),
        ("estoy muy triste", "pensive face"),
        ("je suis fatigué", "tired face"),
        ("ich bin so wütend", "angry face"),
        ("我今天很开心", "smiling face with smiling eyes"),
        ("мне грустно", "pensive face"),
        ("とても眠い", "sleepy face"),
        ("ho fame", "face savoring food"),
        ("أنا حزين", "pensive face"),
        ("happy", "happy"),
        ("a happy dog", "a happy dog"),
        ("a cold day", "a cold day"),
        ("i am a tired old man", "i am a tired old man"),
        ("很" * 5000, "很" * 5000),
    ],
)
def test_feelings_are_faces(text, plain):
    assert reworded(text, languages_of(text), NAMES.__contains__) == plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("my son's birthday party", "my son with a birthday cake"),
        ("el cumpleaños de mi abuela", "mi abuela con una tarta de cumpleaños"),
        ("奶奶的生日", "奶奶和生日蛋糕"),
        ("a birthday party", "a birthday party"),
        ("un perro bombero en la calle", "un perro con casco en la calle"),
        ("a police dog", "a dog with police car light"),
        ("a king penguin", "a king penguin"),
        ("un chat pirate", "un chat avec pirate-hat"),
        ("a clown fish", "a clown fish"),
        ("a bottle of wine and two glasses", "a bottle of wine and two wineglasses"),
        ("a man with glasses", "a man with glasses"),
        ("two glasses of milk", "two glasses of milk"),
        ("a snail and a rabbit racing", "a snail and a rabbit next to a chequered flag"),
        ("a racing car", "a racing car"),
        ("two cats are sleeping", "two cats with zzz"),
        ("أسد وفيل ووردة", "أسد و فيل و وردة"),
        ("بنت مع وردة", "بنت مع وردة"),
    ],
)
def test_what_is_seen_of_what_is_said(text, plain):
    assert reworded(text, languages_of(text), NAMES.__contains__) == plain


def test_keywords_of_which_one_is_a_place_are_a_list():
    names = {"boat", "rocket", "planet", "stars", "christmas tree", "ice cream", "cake"}

    def listed(text: str) -> str:
        return reworded(text, ("en",), names.__contains__)

    assert listed("boat lake sunset") == "boat, lake, sunset"
    assert listed("rocket planet stars space") == "rocket, planet, stars, space"
    assert listed("christmas tree snow night") == "christmas tree, snow, night"
    assert listed("christmas ice cream cake") == "christmas ice cream cake"
    assert listed("boat on a lake") == "boat on a lake"


def test_names_of_two_nouns_are_not_cut():
    names = {"bow and arrow", "a bow and arrow"}
    assert reworded("an elf with a bow and arrow", ("en",), names.__contains__) == (
        "an elf with a bow-and-arrow"
    )
    assert reworded("a bow and arrow", ("en",), names.__contains__) == "a bow and arrow"
    assert reworded("a dog and cat", ("en",), names.__contains__) == "a dog and cat"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a dog dressed as a pirate", "a dog with a pirate-hat"),
        ("a cat in a pirate costume", "a cat with a pirate-hat"),
        ("ein Hund als Pirat verkleidet", "ein Hund mit pirate-hat"),
        ("打扮成海盗的狗", "戴着pirate-hat的狗"), ("海賊の格好をした猫", "pirate-hatをかぶった猫"),
        ("собака в костюме пирата", "собака с pirate-hat"),
        ("a cat dressed as a teapot", "a cat dressed as a teapot"),
        ("two friends on a bench", "people-holding-hands on a bench"),
        ("a boy and his robot friend", "a boy and his robot"),
        ("a girl with a puppy in the garden", "a girl with a small dog in the garden"),
        ("two kittens on a sofa", "two small cats on a sofa"), ("a puppy", "a puppy"),
        ("three kittens in a basket", "three kittens in a basket"),
        ("due amici giocano a scacchi", "people-holding-hands con chess-pawn"),
        ("妈妈给宝宝喂饭", "妈妈在宝宝旁边"),
        ("brazil 2 - 1 germany", "brazil, soccer-ball, germany"),
    ],
)  # fmt: skip
def test_costumes_friends_and_results(text, plain):
    assert reworded(text, languages_of(text), NAMES.__contains__) == plain


PICNIC = "a basket, a sandwich and a watermelon on the grass"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("the sun setting behind the mountains", "the mountains at sunset"),
        ("sun rising over the sea", "the sea at sunrise"), ("the sun is setting", "sunset"),
        ("two boys playing basketball", "two boys next to a basketball"),
        ("kids are playing soccer in the park", "kids next to a soccer-ball in the park"),
        ("a couple kissing under an umbrella", "a kissing couple under an umbrella"),
        ("two people hugging", "people-hugging"), ("a girl hugging bears", "a girl hugging bears"),
        ("his cows eat grass", "his cows in a meadow"), ("picnic", PICNIC),
        ("cows eating green grass on a farm", "cows on a farm"),
        ("kids trick-or-treating", "kids with a jack-o-lantern at night"),
        ("a goat eating my laundry", "a goat eating t-shirt"),
        ("a chef making pizza", "a chef with pizza"),
        ("two people on a bench", "a man and a woman on a bench"),
        ("three people in a boat", "three persons in a boat"),
        ("two old people on a bench", "an old man and an old woman on a bench"),
        ("people on a bus", "persons on a bus"), ("people hugging", "people-hugging"),
        ("a cute kitten for my daughter's birthday card", "a cute kitten"),
        ("something for a wedding card", "something for a wedding card"),

        ("a snake wrapped around a tree", "a snake in front of a tree"),
    ],
)  # fmt: skip
def test_suns_that_set_games_couples_and_meals(text, plain):
    assert reworded(text, ("en",), NAMES.__contains__) == plain


SHOWN = {"birthday cake", "Christmas tree", "heart with ribbon", "bouquet", "sun", "coffee",
         "graduation cap", "ring", "party popper"}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("happy birthday!", "birthday cake"), ("生日快乐", "birthday cake"),
        ("feliz cumpleaños mamá", "mamá, birthday-cake"), ("妈妈生日快乐", "妈妈, birthday-cake"),
        ("buon natale", "Christmas tree"), ("merry christmas card", "Christmas tree"),
        ("a thank you card with a bear", "a bear, heart-with-ribbon"),
        ("gute Besserung", "bouquet"), ("good morning coffee", "coffee, sun"),
        ("hello kitty", "hello kitty"),
    ],
)  # fmt: skip
def test_greetings_are_shown_by_a_thing(text, plain):
    assert reworded(text, languages_of(text), SHOWN.__contains__) == plain


@pytest.mark.parametrize(
    ("text", "shown", "heading"),
    [
        ("happy birthday mom", "mom with a birthday cake", "Happy Birthday Mom"),
        ("Happy birthday to Anna", "birthday cake", "Happy birthday to Anna"),
        ("happy 5th birthday Leo", "birthday cake", "Happy 5th Birthday Leo"),
        ("Merry Christmas Rose", "Christmas tree", "Merry Christmas Rose"),
        ("Frohe Weihnachten Oma", "Oma, Christmas-tree", "Frohe Weihnachten"),
        ("birthday card for my grandma", "my grandma, birthday-cake", "Happy Birthday"),
        ("birthday card with a dog and a cake", "a dog and a cake", "Happy Birthday"),
        ("merry christmas and a happy new year", "Christmas tree",
         "Merry Christmas and a Happy New Year"),
        ("frohe weihnachten 2026", "Christmas tree", "Frohe Weihnachten 2026"),
        ("eine Geburtstagskarte für Oma", "Oma, birthday-cake", "Alles Gute zum Geburtstag"),
        ("tarjeta de cumpleaños con un perro", "un perro, birthday-cake", "Feliz cumpleaños"),
        ("an idea for a christmas card", "Christmas tree", "Merry Christmas"),
        ("thank you card", "heart with ribbon", "Thank You"),
        ("carte de noël", "Christmas tree", "Joyeux Noël"),
        ("生日快乐", "birthday cake", "生日快乐"),
        ("a poster for our bake sale", "bake sale", "Bake Sale"),
        ("ein Plakat für unser Sommerfest", "Sommerfest", "Sommerfest"),
        ("un cartel para el concierto de rock", "concierto de rock", "Concierto de rock"),
        ("une affiche pour la fête de l'école", "fête de l'école", "Fête de l'école"),
        ("grandma's birthday", "grandma with a birthday cake", ""),
        ("graduation party invitation for Emma", "graduation cap", "Graduation Party for Emma"),
        ("wedding invitation for anna and tom", "ring", "Wedding Invitation for Anna and Tom"),
        ("birthday card for Emma", "birthday cake", "Happy Birthday Emma"),
        ("Emma's party invitation", "party popper", "You're Invited Emma!"),
        ("birthday card with a cat for Emma", "a cat, birthday-cake", "Happy Birthday Emma"),
        ("birthday card for dad who loves fishing", "dad fishing, birthday-cake",
         "Happy Birthday"),
        ("birthday card for grandma who loves cats", "grandma, cats, birthday-cake",
         "Happy Birthday"),
        ("party invitation for a 5 year old with dinosaurs", "dinosaurs, party-popper",
         "You're Invited!"),
        ("music festival poster", "music festival", "Music Festival"),
        ("bachelorette party invitation for Anna", "party popper",
         "Bachelorette Party for Anna"),
        ("eine Geburtstagskarte für Emma", "birthday cake", "Alles Gute zum Geburtstag Emma"),
    ],
)  # fmt: skip
def test_cards_bear_the_greeting(text, shown, heading):
    found = greeting_of(text, languages_of(text), SHOWN.__contains__)
    assert found == Greeting(shown, heading)


@pytest.mark.parametrize(
    ("text", "shown", "heading"),
    [
        ("Gefeliciteerd met je verjaardag!", "birthday cake", "Gefeliciteerd met je verjaardag"),
        ("gefeliciteerd Anna", "birthday cake", "Gefeliciteerd Anna"),
        ("grattis på födelsedagen mamma", "mother, birthday-cake", "Grattis på födelsedagen"),
        ("sto lat, babciu", "grandma, birthday-cake", "Sto lat"),
        ("selamat ulang tahun", "birthday cake", "Selamat ulang tahun"),
        ("god jul", "Christmas tree", "God jul"), ("tusen takk", "heart with ribbon", "Tusen takk"),
        ("יום הולדת שמח", "birthday cake", "יום הולדת שמח"),
    ],
)  # fmt: skip
def test_greetings_of_languages_with_a_glossary(text, shown, heading):
    found = greeting_of(text, languages_of(text), SHOWN.__contains__)
    assert found == Greeting(shown, heading)


def test_what_a_poster_is_for_is_shown():
    assert reworded("a poster for our bake sale", ("en",), set().__contains__) == (
        "a cupcake, a cookie and a pie"
    )


@pytest.mark.parametrize(
    "text",
    [
        "a card",
        "christmas tree with cards",
        "credit card",
        "a cake",
    ],
)
def test_what_is_no_greeting(text):
    assert greeting_of(text, languages_of(text), {*SHOWN, "Christmas tree"}.__contains__) is None


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("baking cookies with grandma", "a person baking cookies with grandma"),
        ("making the bed", "a person making the bed"),
        ("waiting for the bus", "a person next to the bus"),
        ("something my mom likes", "something my mom likes"), ("drawing a cat", "a cat"),
        ("running shoes", "running shoes"), ("playing cards", "card-game-cards"),
        ("cleaning supplies", "cleaning supplies"), ("spring cleaning on the farm",
         "a broom, a bucket and a sponge on the farm"),
    ],
)  # fmt: skip
def test_what_nobody_is_said_to_do_is_done_by_a_person(text, plain):
    assert reworded(text, ("en",), {"cleaning supplies"}.__contains__) == plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a parrot teaching math to three monkeys",
         "a parrot next to a blackboard and three monkeys"),
        ("a doctor giving a vaccine to a child", "a doctor holding a vaccine next to a child"),
        ("a boy giving his mother a flower", "a boy holding a flower next to his mother"),
        ("a girl giving a speech", "a girl giving a speech"),
    ],
)  # fmt: skip
def test_to_whom_something_is_given_or_taught(text, plain):
    assert reworded(text, ("en",), set().__contains__) == plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a clock showing 3 o'clock", "three-o’clock"), ("half past four", "four-thirty"),
        ("a 3 meter tall giraffe", "a giraffe"), ("a ruler 30 cm long", "a ruler"),
        ("a 2 liter bottle of milk", "a bottle of milk"), ("3 men", "3 men"),
        ("a 5 year old boy", "a boy"), ("not a dog, a cat", "a cat"),
        ("five ducks in a row", "five ducks"), ("we love pizza", "pizza and a red-heart"),
        ("i love you so", "i love you so"),
    ],
)  # fmt: skip
def test_times_measures_and_what_is_loved(text, plain):
    assert reworded(text, ("en",), set().__contains__) == plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a man in a spacesuit", "a astronaut"), ("a burning house", "a fire in front of a house"),
        ("a cat in a police uniform", "a cat with a police-car-light"),
        ("students falling asleep in class", "students with zzz next to a blackboard"),
        ("two cats fighting", "two cats"), ("save the bees", "bees and a green-heart"),
        ("people", "a man, a woman, a boy and a girl"),
        ("a man with an American flag", "a man with flag-united-states"),
        ("the South Korean flag", "flag-south-korea"),
        ("a dog that looks like a cloud", "a dog and a cloud"),
        ("cat as a pirate", "cat with a pirate-hat"),
        ("two robots shaking hands", "two robots next to a handshake"),
        ("a mother reading to her kids", "a mother holding a book next to her kids"),
    ],
)  # fmt: skip
def test_uniforms_fires_classes_and_flags(text, plain):
    known = {"cat", "cats", "bees", "police car light", "pirate hat", "students"}
    assert reworded(text, ("en",), known.__contains__) == plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("humpty dumpty sat on a wall", "an egg on a brick"),
        ("jack and jill went up the hill", "a boy and a girl with a bucket on a hill"),
        ("mary had a little lamb", "a girl and a lamb"), ("hot and cold", "a fire and a snowflake"),
        ("a hot and cold drink", "a hot and cold drink"), ("time flies", "an hourglass"),
        ("half an orange", "an orange"), ("half a dozen eggs", "six eggs"),
        ("a bucket full of sand", "a bucket"), ("a happy and excited dog", "a happy dog"),
        ("a cat and excited dogs", "a cat and excited dogs"),
        ("i miss my dog", "my dog"), ("i need help", "i need help"),
        ("I want a pony with wings", "a pony with wings"),
        ("a dog watching the sunset", "a dog at sunset"),
        ("the mouse ran up the clock", "the mouse on the clock"),
        ("a truck picking up trash", "a truck picking trash"),
        ("a bear looking up at the stars", "a bear looking up at the stars"),
        ("first a house, then a tree", "a house, a tree"), ("a singer on a stage", "a singer"),
        ("a net", "fishing-net"), ("a sick dog", "a dog with a thermometer"),
        ("a birthday cupcake with one candle", "a birthday cupcake"),
        ("me and my dog", "a person and my dog"),
        ("my dog and i", "my dog and a person"),
        ("two halves of an orange", "an orange"), ("fans cheering", "people cheering"),
        ("a graph going down", "chart decreasing"), ("a plane taking off", "a plane"),
        ("santa coming down the chimney", "santa on the chimney"),
        ("an underwater scene with a crab", "under water a crab"),
        ("a farm scene with cows and a barn", "in the farm cows and a barn"),
        ("they rode home on a horse", "people rode on a horse"),
        ("a golden retriever puppy", "a dog"), ("pigs in a pen", "pigs behind a fence"),
        ("a house where they found a chest", "a house, a chest"),
        ("opening presents", "a person opening presents"),
        ("building a snowman", "a person building a snowman"),
        ("building on a hill", "building on a hill"),
        ("kids playing tag", "kids"),
    ],
)  # fmt: skip
def test_songs_opposites_wishes_and_particles(text, plain):
    assert reworded(text, ("en",), set().__contains__) == plain
