"""Which form does this English word take? Past tenses, participles, plurals and degrees, irregular ones too.

Source: the word table of `lemminflect` 0.2.3 (MIT; drawn up from the SPECIALIST Lexicon of the US National
Library of Medicine), not its rules for unknown words. One row:

    Question: What is the past tense of the verb "bring"?
    Answer:   brought

The words are common ones: those that `Faker` 40.54.0 (MIT) lists as nouns, verbs or adjectives, and
`MORE_NOUNS`, `MORE_VERBS` and `MORE_ADJECTIVES`, chosen for their irregular forms or their spelling. In every
split about a fifth is irregular ("brought", "wolves"), more than a third is regular but changes its
spelling ("stopped", "tried"), the rest only takes an ending. A word is in one split with all its forms, and
so are words with a stem in common, such as "take" and "overtake". The naive rule appends the ending.

Where several forms are right ("dreamed", "dreamt") the first is the target and each of them scores. Left out:
forms that the word already holds ("cut", or "hid" of "hide"), words without a form to ask for ("music",
"afraid"), forms that the table misspells ("freeer", "occured"), modal verbs, nouns that are seldom counted
("software"), and "lie", whose forms hang on what it means.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from harness.errors import PluginError
from harness.scoring import first_lines
from harness.task import Example, Splits, Task, digest, mixed

QUESTIONS = {  # what is asked of each part of speech: the column of the table, its name, the regular ending
    "noun": (("NNS", "plural", "s"),),
    "verb": (
        ("VBD", "past tense", "ed"),
        ("VBN", "past participle", "ed"),
        ("VBG", "present participle", "ing"),
        ("VBZ", "third person singular", "s"),
    ),
    "adj": (("JJR", "comparative", "er"), ("JJS", "superlative", "est")),
}
KINDS = ("irregular", "spelled", "plain")
NAMES = {"noun": "noun", "verb": "verb", "adj": "adjective"}
MORE_VERBS = """
awake awaken babysit backslide befall beget behold bend beseech bespeak bite bleed breed browbeat cling
creep dig disprove dwell flee fling forbear forbid foresee foretell forgive forgo forsake forswear freeze
frolic gainsay ghostwrite grind hamstring hew inlay interweave kneel leap lend mislay
mislead misspend mistake misunderstand mow outdo outgrow outrun outshine overcome overdo overdraw
overeat overhang overhear overpay override overrun oversee oversell overshoot oversleep overspend
overtake overthrow overwrite panic partake picnic prepay rebuild redo redraw remake rend repay rerun
resell retake retell rethink rewind rewrite saw sew shear shine shrink sink slay slide sling slink smite
sow speed spin spit spring sting stink strew stride string strive swear sweep swell swim swing tear
traffic tread unbind undergo underpay undersell underwrite undo unwind uphold waylay weave weep wind
withhold withstand wring
"""
MORE_NOUNS = """
addendum alga alumnus amoeba antenna antihero antithesis apex appendix axis bacillus bacterium beau
bookshelf bronchus bucktooth bureau businesswoman cactus calf candelabrum cargo catharsis cerebellum
cerebrum cochlea codex colossus continuum crisis criterion curriculum datum diagnosis dictum die domino
dormouse dwarf echo elf ellipsis embargo emphasis equilibrium erratum eyetooth fireman fisherman flamingo
formula fresco fungus ganglion gentleman genus godchild goose grandchild halo helix hero hoof housewife
hypothesis index jackknife lacuna larva layperson leaf libretto loaf locus louse mango matrix meatloaf
memorandum metamorphosis metastasis midwife minutia modulus mosquito motto nebula nemesis neurosis nova
nucleus oasis octopus optimum ovum papyrus paralysis parenthesis passerby patella penknife penny person
persona phenomenon phylum plateau pocketknife policeman polyhedron prognosis prosthesis psychosis pupa
quantum quiz radius retina salesperson saleswoman scarf schoolchild sheaf shelf snowman solarium spokesman
stepchild stimulus stratum supernova syllabus synopsis synthesis terminus thesis thief tomato tornado
torpedo trachea vertebra vertex veto volcano vortex werewolf wharf wolf
"""
MORE_ADJECTIVES = """
bad bleak blunt clever cloudy coarse costly crisp damp dense dim dull dusty faint far fat fierce
gentle greasy greedy grim hairy harsh hollow humble juicy keen lazy lively mellow muddy noble noisy pale
plump rainy red ripe rude salty scary shallow shiny sleepy slim spicy steady steep stern sunny
swift tame tasty tender thirsty tidy wealthy wet windy
"""
UNFIT = """
advice awareness be can chemistry civil could dare dead distinct education employment equipment feedback
fit hell ill inflation less lie little math may might much must nothing ought psychology real right safety
shall should software super transportation will would wrong
"""
FIRST = ("forgoing", "interwove", "leaned", "loci", "woken", "wove")  # better than what the table has first
STRUCK = "controled controling flied loca occured occuring payed refered refering staid staves tieing"
ROWS = {  # of each of KINDS; test is dealt first
    "test": (80, 146, 174),
    "dev": (40, 73, 87),
    "train": (370, 730, 900),
}
STEM_CAP = 8  # forms of one stem in test or dev
FIT = re.compile(r"(?<![^/])[a-z]{2,}(?![^/])")  # neither "re-done" nor "O.K.'d"
Table = dict[tuple[str, str], dict[str, list[str]]]
"""The forms of every (part of speech, word) by tag."""


class Inflection(Task):
    """A word and the name of a form in, the form out."""

    name = "inflection"
    version = 1
    family = "language"
    metric = "exact_match"
    stop = "\n"
    description = "Past tense, participle, plural or comparative of common English words, many irregular."
    source = "lemminflect 0.2.3, words from Faker 40.54.0"
    license = "MIT"
    sizes = (2000, 200, 400)

    def load(self) -> Splits:
        """Read the table and deal out the stems; a fraction of a second.

        Raises:
            PluginError: lemminflect or Faker is not installed.
        """
        stems: defaultdict[str, list[Example]] = defaultdict(list)
        for example in sorted(_examples(_table()), key=lambda e: digest(e.id)):
            stems[example.group].append(example)
        pools: dict[str, list[Example]] = {split: [] for split in ROWS}
        left = {split: dict(zip(KINDS, rows, strict=True)) for split, rows in ROWS.items()}
        for stem in sorted(stems, key=digest):
            rarest = min((e.data["kind"] for e in stems[stem]), key=KINDS.index)
            split = next((split for split in ROWS if left[split][rarest]), "train")
            for example in stems[stem] if split == "train" else stems[stem][:STEM_CAP]:
                if left[split][example.data["kind"]]:
                    left[split][example.data["kind"]] -= 1
                    pools[split].append(example)
        return mixed(pools)

    def prompt(self, example: Example) -> str:
        """One question, such as for the past tense of a verb."""
        word, part, form = (example.data[key] for key in ("word", "part", "form"))
        return f'Question: What is the {form} of the {part} "{word}"?\nAnswer:'

    def target(self, example: Example) -> str:
        """The form, or the first of several."""
        return example.data["answers"].split("/")[0]

    def score(self, example: Example, output: str) -> float:
        """1.0 where the first line is a right form, whatever its case, quotes and full stop; else 0.0."""
        given = first_lines(output).strip("\"'“”‘’`*. ").casefold()
        return float(given in example.data["answers"].split("/"))

    def naive(self, example: Example) -> str:
        """The word with the regular ending."""
        return example.data["word"] + example.data["ending"]


def _table() -> Table:
    """The table with its overrides, the preferred form first."""
    spec = find_spec("lemminflect")
    if spec is None or not spec.submodule_search_locations:
        raise PluginError("inflection needs its data: pip install lemminflect==0.2.3")
    resources = Path(spec.submodule_search_locations[0], "resources")
    overrides: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    with (resources / "infl_overrides.csv").open(encoding="utf-8", newline="") as file:
        for word, tag, form in csv.reader(file):
            overrides[word, tag].append(form)
    table: Table = {}
    with gzip.open(resources / "infl_lu.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for word, part, *columns in csv.reader(file):
            if part in QUESTIONS:
                tags = [tag for tag, _, _ in QUESTIONS[part]]
                read = {tag: FIT.findall(column) for tag, column in zip(tags, columns, strict=False)}
                forms = {tag: of for tag, of in read.items() if of}
                if "VBD" in forms:  # a participle is in the table only where it is irregular
                    regular = [form for form in forms["VBD"] if form.endswith("ed")]
                    forms["VBN"] = forms.get("VBN", []) + (
                        regular or ([] if "VBN" in forms else forms["VBD"])
                    )
                table[part, word] = {
                    tag: sorted(dict.fromkeys(overrides[word, tag] + of), key=lambda form: form not in FIRST)
                    for tag, of in forms.items()
                }
    return table


def _words() -> dict[str, set[str]]:
    """The words to ask for, by part of speech."""
    try:
        from faker.providers.lorem.en_US import Provider
    except ImportError as error:
        raise PluginError("inflection needs its words: pip install Faker==40.54.0") from error
    more = {"noun": MORE_NOUNS, "verb": MORE_VERBS, "adj": MORE_ADJECTIVES}
    listed = Provider.parts_of_speech
    return {part: {*listed[NAMES[part]], *more[part].split()} - {*UNFIT.split()} for part in QUESTIONS}


def _examples(table: Table) -> Iterator[Example]:
    """Every form of every word, in the order of the table."""
    words = _words()
    for (part, word), forms in table.items():
        if word not in words[part] or not FIT.fullmatch(word):
            continue
        for tag, form, ending in QUESTIONS[part]:
            answers = [answer for answer in forms.get(tag, ()) if _is_form(word, answer)]
            if answers and forms[tag][0] != word and answers[0] not in word:
                data = {
                    "word": word,
                    "part": NAMES[part],
                    "form": form,
                    "ending": ending,
                    "answers": "/".join(answers),
                    "kind": _kind(word, ending, answers[0]),
                }
                yield Example(id=f"{part} {word} {tag}", group=_stem(word, table), data=data)


def _is_form(word: str, form: str) -> bool:
    misspelled = form in STRUCK.split() or (word.endswith("e") and form.startswith(word + "e"))
    return form != word and not misspelled


def _kind(word: str, ending: str, form: str) -> str:
    if form == word + ending:
        return "plain"
    bases = {
        word + word[-1],
        word + "k",
        word + "e",
        word.removesuffix("e"),
        re.sub("(?<![aeiou])y$", "i", word),
    }
    bases |= {re.sub("(?<![aeiou])y$", "ie", word), re.sub("ie$", "y", word)}
    return "spelled" if form in {base + ending for base in bases} else "irregular"


def _stem(word: str, table: Table) -> str:
    """The shortest word at the end of an irregular one that it inflects like: "take" of "overtake"."""
    for part, asked in QUESTIONS.items():
        forms = table.get((part, word), {})
        irregular = [
            (tag, ending)
            for tag, _, ending in asked
            if tag in forms and _kind(word, ending, forms[tag][0]) == "irregular"
        ]
        for cut in range(len(word) - 2 if irregular else 0, 0, -1):
            rest = word[cut:]
            firsts = [
                (tag, ending, table.get((part, rest), {}).get(tag, [""])[0]) for tag, ending in irregular
            ]
            if all(
                _kind(rest, ending, first) == "irregular" and word[:cut] + first in forms[tag]
                for tag, ending, first in firsts
            ):
                return rest
    return word
