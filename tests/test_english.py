"""Banned turns of phrase: translated, coy, or the team's own words; and the better words."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Regular expressions and the better words. Case does not matter, and a space is any whitespace,
# also across lines, comment marks and quotes.
BANNED = {
    # Translated word by word.
    r"(?:gone|goes?|going|went) on with": "resumed, continues",
    r"(?:to|as|than|about|every|by) so many": "this many",
    r"but of what": "name it",
    r"mend(?:s|ed|ing)?": "correct, fix, calibrate",
    r"what (?:comes|came) out": "the result",
    r"(?:net|file|folder|model|one) that is there": "existing",
    r"what there is to know": "metadata",
    r"(?:is|are|was|were|been) told": "gets, receives",
    r"if need be": "if necessary",
    r"gives? another place": "choose another path",
    r"where there is none": "if there is none",
    r"mixes? by hand|passes? by hand": "without autograd",
    r"reads? (?:\w+ )?off": "read from, infer from",
    r"anew|afresh": "again, from scratch",
    r"of one's own": "your own",
    r"lets? go of": "releases",
    r"holds? on to": "keeps, caches",
    r"puts? (?:\w+ )?back": "restores",
    r"to the bit": "bit by bit, exactly",
    r"must do with": "must use",
    r"(?:makes?|made) ready": "prepares",
    r"knows no": "has no, does not support",
    r"tells? no": "does not contain",
    r"tells? (?:rows|classes|words|them) apart": "distinguishes",
    r"leans? towards?": "favours",
    r"looks? (?:nothing|everything) up": "has no lookups",
    r"what (?:it|they) (?:is|are|was|were) (?:told|given|asked|made of)": "its input",
    r"what it was that": "name it",
    r"for who wants": "for, to",
    r"beside that": "besides, in addition",
    r"but for (?:rounding|what|the name)": "except for, up to",
    r"time (?:is|was) over": "time ran out",
    r"weighs? (?:models|nets|rows)": "weights",
    r"hand(?:ed|s) (?:on|down|out)": "passes",
    r"deal(?:s|t|ing)? out": "assigns",
    r"errs": "has a larger error",
    r"made up for": "compensated",
    r"a made (?:table|column|word|clip)|(?:rows|tables|clips) that were made": "synthetic",
    r"sampled down": "subsampled",
    r"decides? for good": "decides permanently",
    r"with commas between": "comma-separated",
    r"gives? the target away": "leaks the target",
    r"taken as a class": "treated as a class",
    r"shares of the classes": "class frequencies",
    r"in words that follow": "in the message",
    r"put together here": "loaded here",
    r"make the model again": "train and save the model again",
    r"seed of everything random": "random seed",
    r"(?<!there\s)(?:is|are) no (?:number|sound|word|column|net|model|estimator)s?": "is not a",
    r"asks? (?:a|the|its|every) (?:net|rule|estimator|module)": "calls, uses",
    r"answers? for itself": "implements the interface",
    r"(?:thereof|therein|whereof|wherein|whereby|hereby|hitherto|henceforth)": "plain words",
    # Coy: praise or mystery in place of a fact.
    r"honest(?:ly)? (?:interval|figure|answer|estimate|error)s?": "corrected, held-out",
    r"stays? honest": "stays unbiased",
    r"the one knob": "the main parameter",
    r"surest": "most confident",
    r"can be believed": "is better calibrated",
    r"no difference can be shown": "there is no clear difference",
    r"no test set": "not a test set",
    # The team's own words.
    r"rows? (?:that (?:are|were) )?left out|left-out rows?": "held-out rows",
    r"as it comes": "unprepared, with default settings",
    r"says so": "reports it",
    r"truth values?": "booleans",
    r"contestants?": "methods",
    r"heartbeats?": "progress",
    r"(?:goes|go|steps) by hand": "without autograd",
    r"(?:is|are) wanted": "is needed",
    r"of (?:one|a|another) kind": "of one type",
}
# Targets of the team say nothing to users: headers of tables have none.
TARGETS = re.compile(
    r"^\|.*\b(goal|missed|to reach)\b.*\n\|[ :|-]+$", re.IGNORECASE | re.MULTILINE
)

GAP = r"(?:\s|(?<=\s)[#*/>]+(?=\s)|\"\s*\n\s*[rf]?\")+"
PATTERNS = [
    (re.compile(rf"(?<![\w-])(?:{phrase.replace(' ', GAP)})(?![\w-])", re.IGNORECASE), better)
    for phrase, better in BANNED.items()
]
SUFFIXES = {".py", ".md", ".rst", ".txt", ".html", ".js"}
BUILT = {"_build", "auto_examples", "generated", "__pycache__"}


def texts():
    """Return the files that users read; help texts of commands are in the package."""
    folders = [
        path for name in ("mixup_tab", "docs", "examples") for path in (ROOT / name).rglob("*")
    ]
    pages = [*ROOT.glob("[A-Z]*.md"), *(ROOT / "benchmarks").rglob("*.md")]
    return [
        path
        for path in sorted([*pages, *folders])
        if path.suffix in SUFFIXES and BUILT.isdisjoint(path.parts)
    ]


def find(text):
    """Return line, phrase and better words of every banned phrase."""
    found = [
        (match, better) for pattern, better in PATTERNS for match in pattern.finditer(text)
    ]
    found += [(match, "figures without a target") for match in TARGETS.finditer(text)]
    return sorted(
        (text.count("\n", 0, match.start()) + 1, " ".join(match[0].split()), better)
        for match, better in found
    )


def test_no_text_has_a_banned_phrase():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {phrase!r}, better: {better}"
        for path in texts()
        for line, phrase, better in find(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A plain sentence about held-out rows.", []),
        ("There is no number here.", []),
        ("Fine.\nAn unfinished run is gone on with.", [(2, "gone on with")]),
        ("# Scores of rows left\n# out are higher.", [(1, "rows left # out")]),
        ('"The file is dealt "\n    f"out to folds."', [(1, 'dealt " f"out')]),
        ("| set | goal |\n|---|---:|\n| iris | 4 |", [(1, "| set | goal | |---|---:|")]),
        ("We reached our goal.", []),
    ],
)
def test_a_planted_phrase_is_found(text, expected):
    assert [(line, phrase) for line, phrase, _ in find(text)] == expected
