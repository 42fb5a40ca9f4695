"""Tags of words: the words of a plain text, the schemes that mark entities, tags as spans and back.

Entities are kept as IOB2: `B-PER` begins one, `I-PER` continues it, `O` is outside (Tjong Kim Sang and Veenstra
1999). IOB1 begins with `I-` and uses `B-` only between neighbours of one type; BIOES and BILOU also mark the
last word (E, L) and the only one (S, U). Tags that fit none of these, as of a part of speech, are plain.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise

Span = tuple[int, int, str]  # (first word, word after the last, type)
Word = tuple[int, int]  # where it begins and ends in the text

IOB1, IOB2, BIOES, BILOU, PLAIN = "IOB1", "IOB2", "BIOES", "BILOU", "plain"
MARKED = re.compile(r"([BIESLUMW])[-_](.+)")
LETTERS = {"B", "I", "E", "S", "L", "U", "O"}
MOST_ODD = 0.05  # of all tags
SHORT = re.compile(r"(?:[^\W\d]\.)+[^\W\d]")  # U.K
ANYTHING = "entity"  # the type of an entity where tags are bare letters: B, I, O
# scripts whose words no blank parts: Thai to Myanmar, Khmer, kana, Han; each of their characters is a word
UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
UNSPACED += r"\U00020000-\U0003ffff"
JOINERS = r"\u200c\u200d"  # invisible, within words of Persian and Indian scripts


@cache
def _word() -> re.Pattern[str]:
    """A word, with its accents and vowel signs; else one sign; never blanks and invisible characters."""
    by_category: dict[str, list[str]] = {"M": [], "C": []}
    for code in range(0x10000):
        category = unicodedata.category(chr(code))
        if category[0] == "M" or category in ("Cc", "Cf"):
            by_category[category[0]].append(re.escape(chr(code)))
    marks, unseen = ("".join(by_category[kind]) for kind in "MC")
    spaced = rf"[^\W{UNSPACED}]"
    return re.compile(
        rf"[{UNSPACED}][{marks}]*|(?:{spaced}[{marks}]*(?:[{JOINERS}](?={spaced}))?)+|[^\w\s{unseen}][{marks}]*"
    )


def words(text: str, *, whole: bool = False) -> list[tuple[int, int]]:
    """Where each word of a plain text begins and ends, [(begin, end)] in characters.

    Letters and digits make words, every other sign is one by itself; Han, kana and Thai characters are words
    each, for no blank parts theirs. With `whole`, signs inside a word do not part it (`Jean-Luc`, `U.K.`), as corpora
    that come in tokens have it.
    """
    found = [match.span() for match in _word().finditer(text)]
    return list(_rejoined(text, found)) if whole else found


def _rejoined(text: str, found: list[Word]) -> Iterator[Word]:
    """The words of which the inner signs are no words of their own."""
    begins = [place for place, (begin, _) in enumerate(found) if not begin or text[begin - 1].isspace()]
    for start, stop in pairwise([*dict.fromkeys([0, *begins]), len(found)]):
        held = found[start:stop]
        lettered = [place for place, (begin, _) in enumerate(held) if text[begin].isalnum()]
        inner = text[held[lettered[0]][0] : held[lettered[-1]][1]] if lettered else ""
        if len(lettered) < 2 or re.search(f"[{UNSPACED}]", inner):
            yield from held
            continue
        first, last = lettered[0], lettered[-1]
        if SHORT.fullmatch(inner) and text[held[last][1] : held[last][1] + 1] == ".":
            last += 1  # U.K. with its last dot
        yield from held[:first]
        yield held[first][0], held[last][1]
        yield from held[last + 1 :]


def scheme(sentences: Iterable[Sequence[str]]) -> str:
    """How the tags of these sentences mark entities: IOB1, IOB2, BIOES, BILOU, or plain where they do not."""
    held = list(sentences)
    marks, begun, odd = set(), 0, 0
    distinct = {tag for tags in held for tag in tags}
    if _bare(distinct):
        held = [[f"{tag}-{ANYTHING}" if tag != "O" else tag for tag in tags] for tags in held]
        distinct = {tag for tags in held for tag in tags}
    for tag in distinct - {"O"}:
        if not (match := MARKED.fullmatch(tag)):
            return PLAIN
        marks.add(match[1])
    if not marks:
        return PLAIN
    if marks & {"L", "U"}:
        return BILOU if marks <= {"B", "I", "L", "U"} else PLAIN
    if marks & {"E", "S", "M", "W"}:
        return BIOES if marks <= {"B", "I", "E", "S", "M", "W"} else PLAIN
    for tags in held:
        before = ""
        for tag in tags:
            begun += tag[0] == "I" and tag[2:] != before
            odd += tag[0] == "B" and tag[2:] != before
            before = tag[2:] if tag != "O" else ""
    # IOB1 has B- only right behind an entity of the same type
    return IOB1 if begun and not odd else IOB2


def odd(sentences: Iterable[Sequence[str]]) -> set[str]:
    """The tags that fit no scheme where nearly all others do: slips, which would make the others plain tags."""
    counts = Counter(tag for tags in sentences for tag in tags)
    strange = {tag for tag in counts if tag != "O" and not MARKED.fullmatch(tag)}
    if not strange or _bare(set(counts)) or not any(tag[:2] in ("B-", "B_", "I-", "I_") for tag in counts):
        return set()
    return strange if sum(counts[tag] for tag in strange) <= MOST_ODD * counts.total() else set()


def iob2(tags: Sequence[str], scheme: str) -> tuple[list[str], int]:
    """(the tags as IOB2, how many of them did not follow from the one before and were mended).

    What continues an entity that never began begins it. Plain tags stay as they are.
    """
    if scheme == PLAIN:
        return list(tags), 0
    made: list[str] = []
    mended, kind = 0, ""  # the type of the entity that may go on
    closes = scheme in (BIOES, BILOU)
    for tag in tags:
        mark, _, name = tag.replace("_", "-", 1).partition("-") if tag[1:2] == "_" else tag.partition("-")
        name = name or ANYTHING
        goes_on = mark in "IELM" and kind == name
        mended += closes and bool(kind) and not goes_on  # the entity before has no last word
        if mark == "O":
            made.append("O")
            kind = ""
            continue
        made.append(f"I-{name}" if goes_on else f"B-{name}")
        mended += mark in "IELM" and not goes_on and scheme != IOB1
        kind = "" if mark in "ESLUW" else name
    return made, mended + (closes and bool(kind))


def spans(tags: Sequence[str]) -> list[Span]:
    """The entities of IOB2 tags, in order; an `I-` that continues nothing begins one."""
    found: list[Span] = []
    begin, kind = 0, ""
    for at, tag in enumerate((*tags, "O")):
        if kind and tag != f"I-{kind}":
            found.append((begin, at, kind))
            kind = ""
        if tag != "O" and not kind:
            begin, kind = at, tag[2:]
    return found


def tagged(length: int, entities: Iterable[Span]) -> list[str]:
    """IOB2 tags of `length` words for entities that do not overlap."""
    tags = ["O"] * length
    for begin, end, kind in entities:
        tags[begin:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - begin - 1)]
    return tags


def _bare(distinct: set[str]) -> bool:
    """True for tags that are letters without a type: B and O, and what else a scheme has."""
    return {"B", "O"} <= distinct <= LETTERS
