"""Instructions change what they name, and nothing else; records of them are drawn again."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from limner.errors import CapabilityError, DataError, PromptError, UsageError
from limner.generation.generator import Generator
from limner.generation.glossed_prompts import glossed
from limner.generation.picture import Picture
from limner.generation.plan_edits import PlanEditor
from limner.generation.prompt_reader import PromptReader, PromptText
from limner.generation.records import read_record
from limner.generation.replay import edit_file, redraw, same_pixels
from limner.generation.requests import DrawRequest
from limner.scenes.places import Setting


@pytest.fixture(scope="module")
def pair(shipped) -> Picture:
    """An apple at the left and a fish at the right, apart from each other."""
    return shipped.generate("a red apple and a blue fish", seed=1, style="noto")[0]


def pixels(picture: Picture) -> np.ndarray:
    return np.asarray(picture.image.convert("RGB")).astype(int)


def changed(one: Picture, other: Picture) -> np.ndarray:
    return (pixels(one) != pixels(other)).any(-1)


def halves(mask: np.ndarray) -> tuple[bool, bool]:
    """Whether something is set in the left and in the right half."""
    middle = mask.shape[1] // 2
    return bool(mask[:, :middle].any()), bool(mask[:, middle:].any())


def inside(picture: Picture) -> np.ndarray:
    """Where something is and nothing else near it."""
    ink = pixels(picture).min(-1) < 150
    shifts = [(y, x) for y in range(-3, 4) for x in range(-3, 4)]
    return np.logical_and.reduce([np.roll(ink, each, (0, 1)) for each in shifts])


def hue(picture: Picture, part: slice) -> str:
    """The channel that is strongest in what is drawn in some columns."""
    own = pixels(picture)[:, part]
    ink = own[own.min(-1) < 200]
    return ("red", "green", "blue")[int(ink.mean(0).argmax())]


SAID = {
    "en": ("a cat and a dog", "make the cat blue", "add a hat", "remove the dog", "at night"),
    "zh": ("一只猫和一只狗", "把猫变成蓝色", "加一顶帽子", "去掉狗", "在晚上"),
    "es": ("un gato y un perro", "pinta el gato de azul", "añade un sombrero", "quita el perro",
           "de noche"),
    "fr": ("un chat et un chien", "rends le chat bleu", "ajoute un chapeau", "enlève le chien",
           "la nuit"),
    "de": ("eine Katze und ein Hund", "mach die Katze blau", "füge einen Hut hinzu",
           "entferne den Hund", "bei Nacht"),
    "it": ("un gatto e un cane", "rendi il gatto blu", "aggiungi un cappello", "togli il cane",
           "di notte"),
    "pt": ("um gato e um cachorro", "pinte o gato de azul", "adicione um chapéu",
           "remova o cachorro", "à noite"),
    "ru": ("кошка и собака", "сделай кошку синей", "добавь шляпу", "убери собаку", "ночью"),
    "ja": ("猫と犬", "猫を青くして", "帽子を追加して", "犬を消して", "夜にして"),
    "ko": ("고양이와 개", "고양이를 파란색으로 바꿔줘", "모자를 추가해줘", "개를 지워줘",
           "밤으로 바꿔줘"),
    "hi": ("एक बिल्ली और एक कुत्ता", "बिल्ली को नीला कर दो", "एक टोपी जोड़ो", "कुत्ते को हटा दो",
           "रात में"),
    "ar": ("قطة وكلب", "اجعل القطة زرقاء", "أضف قبعة", "احذف الكلب", "في الليل"),
    "nl": ("een kat en een hond", "maak de kat blauw", "voeg een hoed toe", "verwijder de hond",
           "'s nachts"),
    "pl": ("kot i pies", "pomaluj kota na niebiesko", "dodaj kapelusz", "usuń psa", "w nocy"),
    "tr": ("bir kedi ve bir köpek", "kediyi mavi yap", "bir şapka ekle", "köpeği sil", "gece"),
    "sv": ("en katt och en hund", "gör katten blå", "lägg till en hatt", "ta bort hunden",
           "på natten"),
    "nb": ("en katt og en hund", "gjør katten blå", "legg til en hatt", "fjern hunden",
           "om natten"),
    "da": ("en kat og en hund", "gør katten blå", "tilføj en hat", "fjern hunden", "om natten"),
    "uk": ("кіт і собака", "зроби кота синім", "додай капелюх", "прибери собаку", "вночі"),
    "cs": ("kočka a pes", "obarvi kočku na modro", "přidej klobouk", "odstraň psa", "v noci"),
    "id": ("seekor kucing dan seekor anjing", "ubah warna kucing menjadi biru", "tambahkan topi",
           "hapus anjing", "di malam hari"),
    "vi": ("một con mèo và một con chó", "tô con mèo màu xanh dương", "thêm một cái mũ",
           "xóa con chó", "ban đêm"),
    "el": ("μια γάτα και ένας σκύλος", "κάνε τη γάτα μπλε", "πρόσθεσε ένα καπέλο",
           "αφαίρεσε τον σκύλο", "τη νύχτα"),
    "hu": ("egy macska és egy kutya", "fesd kékre a macskát", "adj hozzá egy kalapot",
           "töröld a kutyát", "éjszaka"),
    "ro": ("o pisică și un câine", "fă pisica albastră", "adaugă o pălărie", "șterge câinele",
           "noaptea"),
    "fi": ("kissa ja koira", "maalaa kissa siniseksi", "lisää hattu", "poista koira", "yöllä"),
    "fa": ("یک گربه و یک سگ", "گربه را آبی کن", "یک کلاه اضافه کن", "سگ را حذف کن", "در شب"),
    "he": ("חתול וכלב", "צבע את החתול בכחול", "הוסף כובע", "מחק את הכלב", "בלילה"),
    "ca": ("un gat i un gos", "pinta el gat de blau", "afegeix un barret", "treu el gos",
           "de nit"),
    "bg": ("котка и куче", "направи котката синя", "добави шапка", "махни кучето", "през нощта"),
    "hr": ("mačka i pas", "oboji mačku u plavo", "dodaj šešir", "ukloni psa", "noću"),
    "sk": ("mačka a pes", "zafarbi mačku na modro", "pridaj klobúk", "odstráň psa", "v noci"),
    "ms": ("seekor kucing dan seekor anjing", "tukar warna kucing menjadi biru", "tambah topi",
           "padam anjing", "pada waktu malam"),
    "ur": ("ایک بلی اور ایک کتا", "بلی کو نیلا کر دو", "ایک ٹوپی شامل کرو", "کتے کو ہٹا دو",
           "رات میں"),
    "bn": ("একটি বিড়াল ও একটি কুকুর", "বিড়ালটিকে নীল করো", "একটি টুপি যোগ করো",
           "কুকুরটিকে সরাও", "রাতে"),
    "sw": ("paka na mbwa", "fanya paka awe bluu", "ongeza kofia", "ondoa mbwa", "usiku"),
    "tl": ("isang pusa at isang aso", "gawing asul ang pusa", "magdagdag ng sombrero",
           "alisin ang aso", "sa gabi"),
}  # fmt: skip


@pytest.fixture(scope="module")
def prompt_reader(shipped) -> PromptReader:
    found = shipped.info.scenes
    return PromptReader(shipped.encoder, shipped.concepts, shipped.styles, "model", scenes=found)


@pytest.mark.parametrize("language", SAID)
def test_every_language_changes_the_same(prompt_reader, language):
    """The four kinds of instruction, each followed on what the language's own prompt shows."""
    prompt, *said = SAID[language]
    ask = PromptText(prompt, True, True, "noto")
    ask = ask._replace(text=glossed(prompt, prompt_reader.concepts))
    (read,) = prompt_reader.read([ask])
    plan = PlanEditor(prompt_reader, "noto", transparent=False).edited(read, prompt, said)
    cat, dog, hat = plan.scene.cast
    assert (cat.drawn, cat.tint, dog.drawn, dog.tint) == ("cat", "blue", "dog", None)
    assert hat.drawn.endswith("hat")
    assert [(step.change, step.thing) for step in plan.scene.steps] == [
        ("add", 2), ("remove", 1), ("behind", -1),
    ]  # fmt: skip
    assert plan.scene.setting == Setting(night=True)


LEFT, RIGHT = slice(0, 108), slice(128, 256)  # the apple is smaller than the fish


@pytest.mark.parametrize(
    ("said", "what"),
    [("make the apple green", "green"), ("把苹果变成绿色", "green"),
     ("mach den Apfel grün", "green"), ("a green apple", "green"),
     ("remove the apple", None), ("quita la manzana", None)],
)  # fmt: skip
def test_one_thing_is_changed_and_the_other_keeps_its_bits(shipped, pair, said, what):
    edited = shipped.edit(pair, said)
    assert halves(changed(pair, edited)) == (True, False)
    if what is None:
        assert (pixels(edited)[:, LEFT] == 255).all()
    else:
        assert hue(edited, LEFT) == what


def test_what_is_added_takes_only_free_places(shipped, pair):
    ink = pixels(pair).min(-1) < 250
    for said in ("add a star", "two apples instead of one"):
        edited = shipped.edit(pair, said)
        mask = changed(pair, edited)
        assert mask.any() and not mask[:, RIGHT][ink[:, RIGHT]].any()  # the fish


def test_the_setting_changes_and_the_things_stay(shipped, pair):
    ink = inside(pair)
    night = shipped.edit(pair, "at night")
    assert pixels(night)[0].mean() < 100 and not changed(pair, night)[ink].any()
    again = shipped.edit(night, "on a white background")
    assert not changed(pair, again).any()


def test_a_chain_is_replayed_and_goes_on(shipped, pair, tmp_path):
    path = pair.save(tmp_path / "pair.png")
    one = edit_file(path, ["make the apple green"])
    two = edit_file(one.save(tmp_path / "one.png"), ["add a star", "remove the fish"])
    both = shipped.edit(pair, "make the apple green", "add a star", "remove the fish")
    assert not changed(two, both).any()
    kept = two.save(tmp_path / "two.png")
    assert read_record(kept).edits == ("make the apple green", "add a star", "remove the fish")
    assert same_pixels(kept, redraw(kept).image)
    assert same_pixels(path, pair.image)


def test_one_thing_alone_keeps_its_place_or_gives_way(shipped):
    apple = shipped.generate("a red apple", seed=1, style="noto")[0]
    green = shipped.edit(apple, "make it green")
    ink = pixels(apple).min(-1) < 250
    assert hue(green, slice(0, 256)) == "green"
    assert not changed(apple, green)[~ink][pixels(apple)[~ink].min(-1) == 255].any()
    two = shipped.edit(apple, "add a fish")
    assert all(halves(pixels(two).min(-1) < 200))
    large = shipped.edit(replace_size(shipped, apple, 300), "make it green")
    assert large.image.size == (300, 300)


def replace_size(shipped: Generator, picture: Picture, size: int) -> Picture:
    options = picture.settings.given | {"size": size}
    return shipped.generate(picture.prompt, seed=picture.seed, **options)[0]


def test_the_same_alone_and_in_a_batch(shipped, pair):
    settings = pair.settings
    requests = [
        DrawRequest(pair.prompt, pair.seed, settings, edits=("add a star",)),
        DrawRequest("two dogs", 5),
        DrawRequest(pair.prompt, pair.seed, settings),
    ]
    star, _, plain = shipped.draw(requests)
    assert not changed(star, shipped.edit(pair, "add a star")).any()
    assert not changed(plain, pair).any()


def test_a_transparent_picture_stays_so(shipped):
    drawn = shipped.generate("a cat and a dog", seed=1, transparent=True)[0]
    edited = shipped.edit(drawn, "remove the dog")
    before, after = np.asarray(drawn.image), np.asarray(edited.image)
    assert after.shape[2] == 4 and (after[..., 3] > 0).sum() < (before[..., 3] > 0).sum()
    assert (after[after[..., 3] > 0] == before[after[..., 3] > 0]).all()
    with pytest.raises(PromptError, match="background is transparent"):
        shipped.edit(drawn, "at night")


@pytest.mark.parametrize(
    ("said", "why"),
    [("remove the elephant", '"the elephant" is not in the picture, which shows red apple, fish'),
     ("blorb the quux", "is not understood; say it like 'make the cat blue'"),
     ("make it bigger", '"it" is not in the picture|say which'),
     ("a red apple", "the picture shows .* already"),
     ("on a white background", "so already"),
     ("x" * 251, "at most 250 characters"),
     ("add nine stars and nine hats and nine dogs", "a picture holds")],
)  # fmt: skip
def test_what_cannot_be_done_is_said(shipped, pair, said, why):
    with warnings.catch_warnings(), pytest.raises(PromptError, match=why):
        warnings.simplefilter("ignore")
        shipped.edit(pair, said)


def test_pictures_without_a_plan_are_refused(shipped, pair, tmp_path):
    whole = shipped.generate("a cat", seed=1, scenes=False)[0]
    with pytest.raises(CapabilityError, match="in one piece, without a plan"):
        shipped.edit(whole, "make it blue")
    with pytest.raises(UsageError, match="1 to 32 instructions"):
        shipped.edit(pair)
    with pytest.raises(UsageError, match="not 33"):
        shipped.edit(replace(pair, edits=("add a star",) * 32), "add a star")
    Image.new("RGB", (8, 8)).save(tmp_path / "foreign.png")
    with pytest.raises(DataError, match="was not drawn by limner"):
        edit_file(tmp_path / "foreign.png", ["make it blue"])
    image = pair.image.copy()
    image.paste((0, 0, 0), (0, 0, 40, 40))
    path = replace(pair, image=image).save(tmp_path / "painted.png")
    with pytest.raises(DataError, match="was changed after limner drew it"):
        edit_file(path, ["make it blue"])


def test_what_belongs_to_a_setting_is_left_out_where_things_would_hide_it(shipped, pair):
    palm = "remove the palm tree"
    beach, bare = shipped.edit(pair, "on a beach"), shipped.edit(pair, "on a beach", palm)
    assert (pixels(beach) == pixels(bare)).all()
    alone = shipped.generate("a red apple", seed=1, style="noto", size=128)[0]
    small = shipped.edit(alone, *["make it smaller"] * 3, "on a beach")
    assert changed(small, shipped.edit(small, palm)).any()


def test_who_is_added_to_a_place_is_whole_and_beside_heads_is_a_head(prompt_reader):
    """An added fox was a head on the ground beside a whole cat."""

    def added(prompt: str, edit: str):
        ask = PromptText(prompt, True, True, "noto")
        (read,) = prompt_reader.read([ask])
        plan = PlanEditor(prompt_reader, "noto", transparent=False).edited(read, prompt, [edit])
        return plan.scene.cast[-1]

    for edit in ("add a fox", "add a witch", "add a girl"):
        assert added("a cat in the park", edit).bodied, edit
    assert added("a cat in the park", "add a girl").figure is not None
    assert not added("a cat and a dog", "add a fox").bodied
