"""Sentences of languages that are read by their words in English, as scenes."""

import pytest

import limner
from limner.generation.prompt_reader import PromptReader
from limner.models.settings import Settings

RED_CAT = ([("cat", 1, "red"), ("small square table", 1, None)], ["on"], [])
"""A red cat sits on a table."""
TWO_DOGS = ([("dog", 2, None)], [], ["beach"])
"""Two dogs play on the beach."""
BEAR = ([("bear", 1, None), ("fish", 1, None)], ["eating"], ["forest"])
"""A bear eats a fish in the forest."""
ROCKET = ([("rocket", 1, None)], [], ["city", "night"])
"""A rocket flies over the city at night."""
HORSE = ([("horse", 1, "black"), ("house", 1, None)], ["front"], [])
"""A black horse in front of a house."""
BIRDS = ([("bird", 3, "yellow"), ("deciduous tree", 1, None)], ["in"], [])
"""Three yellow birds in a tree."""


@pytest.fixture(scope="module")
def reader():
    model = limner.load()
    return PromptReader(model.encoder, model.concepts, model.styles, "it", scenes=True)


@pytest.mark.parametrize(
    ("prompt", "scene"),
    [
        ("een rode kat zit op een tafel", RED_CAT), ("een beer die een vis eet in het bos", BEAR),
        ("twee honden spelen op het strand", TWO_DOGS), ("dwa psy bawią się na plaży", TWO_DOGS),
        ("rakieta leci nad miastem nocą", ROCKET), ("czarny koń przed domem", HORSE),
        ("masanın üstünde oturan kırmızı bir kedi", RED_CAT), ("ağaçta üç sarı kuş", BIRDS),
        ("ormanda balık yiyen bir ayı", BEAR), ("iki köpek plajda oynuyor", TWO_DOGS),
        ("en svart häst framför ett hus", HORSE), ("två hundar leker på stranden", TWO_DOGS),
        ("tre gule fugler i et tre", BIRDS), ("en raket flyver over byen om natten", ROCKET),
        ("ракета летить над містом вночі", ROCKET), ("ведмідь їсть рибу в лісі", BEAR),
        ("dva psi si hrají na pláži", TWO_DOGS), ("černý kůň před domem", HORSE),
        ("dua ekor anjing bermain di pantai", TWO_DOGS), ("beruang makan ikan di hutan", BEAR),
        ("ba con chim vàng trên cây", BIRDS), ("một con mèo đỏ ngồi trên bàn", RED_CAT),
        ("ένα μαύρο άλογο μπροστά από ένα σπίτι", HORSE),
        ("egy medve halat eszik az erdőben", BEAR),
        ("egy piros macska ül az asztalon", RED_CAT), ("o pisică roșie stă pe masă", RED_CAT),
        ("punainen kissa istuu pöydällä", RED_CAT), ("raketti lentää kaupungin yllä yöllä", ROCKET),
        ("یک گربه قرمز روی میز نشسته است", RED_CAT), ("دو سگ در ساحل بازی می‌کنند", TWO_DOGS),
        ("חתול אדום יושב על שולחן", RED_CAT), ("דוב אוכל דג ביער", BEAR),
        ("সৈকতে দুটি কুকুর খেলছে", TWO_DOGS), ("گھر کے سامنے ایک کالا گھوڑا", HORSE),
        ("dubu anakula samaki msituni", BEAR), ("tatlong dilaw na ibon sa puno", BIRDS),
        ("червена котка седи на масата", RED_CAT), ("два пса се играју на плажи", TWO_DOGS),
        ("tri žlté vtáky na strome", BIRDS), ("un gat vermell assegut a la taula", RED_CAT),
        ("roket terbang di atas bandar pada waktu malam", ROCKET),
    ],
)  # fmt: skip
def test_a_sentence_is_a_scene(reader, prompt, scene):
    (read,) = reader.read([reader.asked(prompt, Settings())[0]])
    things, relations, place = scene
    planned = read.scene.plan.things
    assert [
        (part, thing.count, thing.tint)
        for part, thing in zip(read.scene.parts, planned, strict=True)
    ] == things
    assert [link.relation for link in read.scene.links] == relations
    assert (read.scene.setting.words if read.scene.setting else []) == place
