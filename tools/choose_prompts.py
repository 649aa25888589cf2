"""Choose the 500 fixed single-concept prompts of concept recall, once and for all.

    python tools/choose_prompts.py --emojibase FOLDER --store STORE [--store STORE…]

FOLDER is an unpacked ``emojibase-data`` package; the stores tell which icon sets draw a concept.
The choice is a pure function of its inputs: every named everyday concept first, then the
concepts drawn by most sets, ties broken by a hash of the key. What no judge could tell apart
(clock faces, moon phases, look-alike smileys, …) is left out by name. The result was frozen in
``src/limner/evaluation/concept_prompts.json``; choosing anew makes figures incomparable.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limner.data.store import Store
from limner.metrics.recall import plain_key

COUNT = 500
GROUPS = {0: "smileys", 3: "animals", 4: "food", 5: "travel", 6: "activities", 7: "objects"}
LANGUAGES = ("en", "zh", "es")

EVERYDAY = """2764 1F431 1F408 1F436 1F415 1F355 1F3E0 1F333 2600 1F319 1F680 1F34F 1F34E 1F34C
1F697 1F6B2 23F0 1F570 1F420 1F41F 1F337 1F33B 1F339 2602 263A 1F622 26BD 1F307 1F353 1F68C 1F3B8
1F305 1F600 1F602 1F620 1F621 1F60D 1F60E 1F47B 1F480 1F47D 1F916 1F4A9 1F434 1F42D 1F42E 1F437
1F43B 1F43C 1F438 1F427 1F418 1F40D 1F422 1F98B 1F41D 1F332 1F334 1F335 1F344 1F340 1F347 1F349
1F34B 1F34D 1F350 1F351 1F352 1F345 1F346 1F955 1F33D 1F35E 1F354 1F35F 1F366 1F369 1F36A 1F382
1F36B 1F36D 2615 1F37A 1F377 1F3F0 26EA 1F682 1F6A2 26F5 2708 1F681 1F695 1F691 1F692 1F69C 2B50
1F308 2601 2744 1F525 1F4A7 26C4 1F383 1F384 1F381 1F388 1F3C0 26BE 1F3BE 1F3C6 1F3B2 1F3A8 1F453
1F455 1F456 1F457 1F460 1F45F 1F451 1F3A9 1F48D 1F48E 1F514 1F3B5 1F941 1F3BB 1F3BA 1F4F1 260E
1F4BB 1F4F7 1F4FA 1F4A1 1F4D6 1F4B0 2709 270F 2702 1F511 1F512 1F528 1F4A3 1F6AA 1F6CF 1F6BD"""

EXCLUDED = """grinning face with big eyes; grinning face with smiling eyes;
beaming face with smiling eyes; grinning face with sweat; rolling on the floor laughing;
slightly smiling face; smiling face with smiling eyes; kissing face; kissing face with closed eyes;
kissing face with smiling eyes; face with tongue; squinting face with tongue; smirking face;
expressionless face; face without mouth; relieved face; pensive face; sleepy face; worried face;
slightly frowning face; frowning face; hushed face; frowning face with open mouth; anguished face;
fearful face; anxious face with sweat; sad but relieved face; confounded face; persevering face;
disappointed face; downcast face with sweat; weary face; smiling face with open hands;
face with open mouth; confused face; unamused face; enraged face; skull and crossbones;
smiling face with horns; grinning cat with smiling eyes; cat with wry smile; weary cat;
pouting cat; growing heart; beating heart; two hearts; heart decoration; heart exclamation;
anger symbol; hole; eye in speech bubble; left speech bubble; right anger bubble; dizzy;
dashing away; poodle; ram; two-hump camel; rat; ox; water buffalo; boar; hamster; leopard;
baby chick; spouting whale; ant; rosette; melon; leaf fluttering in wind; shrimp;
globe showing Americas; globe showing Asia-Australia; map of Japan; world map; mount fuji;
desert; houses; derelict house; office building; Japanese post office; bank; hotel;
love hotel; department store; building construction; stadium; foggy; night with stars; cityscape;
sunrise; cityscape at dusk; bridge at night; railway car; bullet train; high-speed train; metro;
light rail; station; tram car; monorail; mountain railway; suspension railway; mountain cableway;
trolleybus; minibus; oncoming bus; oncoming police car; oncoming taxi; oncoming automobile;
articulated lorry; motorway; railway track; passenger ship; motor boat; ferry; speedboat; ship;
small airplane; airplane departure; airplane arrival; seat; hourglass done; timer clock;
stopwatch; new moon; waxing crescent moon; waxing gibbous moon; waning gibbous moon;
last quarter moon; waning crescent moon; new moon face; last quarter moon face; milky way;
glowing star; sun behind small cloud; sun behind large cloud; cloud with lightning and rain;
fog; cloud with snow; cloud with rain; snowman; closed umbrella; umbrella with rain drops;
tanabata tree; reminder ribbon; ribbon; ticket; sports medal; 2nd place medal;
3rd place medal; rugby football; field hockey; cricket game; spade suit; heart suit;
diamond suit; club suit; joker; clutch bag; purse; woman’s sandal; woman’s clothes; bikini;
speaker low volume; speaker medium volume; muted speaker; bell with slash; musical notes;
musical score; studio microphone; mobile phone with arrow; telephone receiver; pager;
laptop; trackball; dvd; computer disk; camera with flash; video camera; videocassette;
magnifying glass tilted right; film frames; notebook with decorative cover; notebook; ledger;
blue book; orange book; green book; page facing up; page with curl; bookmark tabs;
rolled-up newspaper; yen banknote; euro banknote; pound banknote; chart increasing with yen;
chart decreasing; incoming envelope; envelope with arrow; e-mail; outbox tray;
closed mailbox with lowered flag; open mailbox with raised flag; open mailbox with lowered flag;
pen; black nib; open file folder; tear-off calendar; spiral notepad; card index dividers;
round pushpin; linked paperclips; locked with pen; locked with key; old key; file folder;
hammer and pick; hammer and wrench; pick; chains; couch and lamp; funeral urn; card index;
left luggage; label; twelve-thirty; clinking glasses; tropical drink; sake; teacup without handle;
stuffed flatbread;  pot of food; rice cracker; dango; oden; fish cake with swirl;
Japanese dolls; moon viewing ceremony; flower playing cards; pine decoration; level slider;
control knobs; ballot box with ballot; package; Japanese castle; oil drum; prayer beads;
hundred points; ZZZ; sweat droplets; police car light; horizontal traffic light; bus stop;
sport utility vehicle; shallow pan of food; amphora; tumbler glass"""

UNCOUNTED = """bread; cooked rice; curry rice; bacon; popcorn; spaghetti; sushi; custard;
shaved ice; green salad; camping; cooking; ice hockey; badminton; tennis; bowling; ping pong;
ice cream; soft ice cream; construction; high voltage; fire; money with wings; american football"""
SINGULAR = "cactus; hibiscus; octopus; bus; rhinoceros"
SPECIAL = {
    "Statue of Liberty": "the Statue of Liberty",
    "Tokyo tower": "the Tokyo tower",
    "kaaba": "the Kaaba",
    "locked": "a locked padlock",
    "unlocked": "an open padlock",
    "performing arts": "theatre masks",
    "construction": "a construction barrier",
    "hourglass not done": "an hourglass",
    "ewe": "a ewe",
    "unicorn": "a unicorn",
}


def _names(text: str) -> frozenset[str]:
    return frozenset(" ".join(name.split()) for name in text.split(";"))


def english_prompt(label: str) -> str:
    """``red apple`` -> ``a red apple``; plural, uncounted and proper names keep their shape."""
    label = label.replace("’", "'")
    if label in SPECIAL:
        return SPECIAL[label]
    head = label.split(" with ")[0].split(" of ")[0].split(" on ")[0].split(" behind ")[0]
    noun = head.split()[-1]
    plural = noun.endswith("s") and not noun.endswith("ss") and noun not in _names(SINGULAR)
    if plural or label in _names(UNCOUNTED):
        return label
    return f"{'an' if label[0].lower() in 'aeiou' else 'a'} {label}"


def choose(
    drawn_by: Mapping[str, set[str]], labels: Mapping[str, Mapping[str, dict[str, Any]]]
) -> list[dict[str, Any]]:
    """The 500 concepts and their prompts, ordered by key.

    Args:
        drawn_by: key -> icon sets that draw the concept.
        labels: language -> key -> emojibase record.
    """
    excluded, everyday = _names(EXCLUDED), [plain_key(key) for key in EVERYDAY.split()]
    english = labels["en"]
    missing = [k for k in everyday if len(drawn_by.get(k, ())) < 3]
    if missing:
        raise SystemExit(f"these everyday concepts are drawn by too few sets: {missing}")
    others = [
        key
        for key, record in english.items()
        if record.get("group") in GROUPS
        and key not in everyday
        and record["label"] not in excluded
        and "o’clock" not in record["label"]
        and "-thirty" not in record["label"]
        and len(drawn_by.get(key, ())) >= 4
    ]
    others.sort(key=lambda k: (-len(drawn_by[k]), hashlib.sha256(k.encode()).hexdigest()))
    chosen = sorted((everyday + others)[:COUNT])
    if len(chosen) < COUNT:
        raise SystemExit(f"only {len(chosen)} concepts qualify")
    return [
        {
            "key": key,
            "group": GROUPS[english[key]["group"]],
            "en": english_prompt(english[key]["label"]),
            **{lang: labels[lang][key]["label"] for lang in LANGUAGES if lang != "en"},
        }
        for key in chosen
    ]


def read_labels(emojibase: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Language -> key -> record of an unpacked ``emojibase-data`` package."""
    return {
        lang: {
            plain_key(record["hexcode"]): record
            for record in json.loads((emojibase / lang / "data.json").read_text("utf-8"))
        }
        for lang in LANGUAGES
    }


def read_stores(paths: list[Path]) -> dict[str, set[str]]:
    """Key -> icon sets that draw it, over some icon stores."""
    drawn: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        store = Store.open(path)
        for i in range(len(store)):
            row = store.metadata(i)
            if row.get("concept") and row.get("style"):
                drawn[plain_key(str(row["concept"]))].add(str(row["style"]))
    return drawn


def main() -> None:
    """Write the prompts to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--emojibase", type=Path, required=True)
    parser.add_argument("--store", type=Path, action="append", required=True)
    arguments = parser.parse_args()
    prompts = choose(read_stores(arguments.store), read_labels(arguments.emojibase))
    lines = ",\n".join("  " + json.dumps(p, ensure_ascii=False) for p in prompts)
    print(f'{{"version": 1, "prompts": [\n{lines}\n]}}')


if __name__ == "__main__":
    main()
