"""Numbers as people write them: "1.234,5", "6,7 %", "€ 12", "(12.50)", "12-".

A format is a string: the decimal mark, "." or ",", if the values have one; then the sign of
every value, such as "%" or "€", if any.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from reprlib import repr as shortened

MARKS = (".", ",")
# Spaces, apostrophe and minus as typesetters write them.
_PLAIN = str.maketrans({"\u00a0": " ", "\u2009": " ", "\u202f": " ", "’": "'", "−": "-"})
_SIGN = "[%‰$¢-¥\u20a0-\u20cf]?"  # per cent, per mille, a currency
# Thousands are separated by the other mark, a space or an apostrophe, always the same. Indian
# numbers have groups of two digits above the thousands.
_THOUSANDS = r"[1-9]\d{0,2}(?P<group>[%s '])(?:\d{2,3}(?P=group))*\d{3}"
_NUMBERS = {
    mark: re.compile(
        rf"(?P<open>[(+-]?) ?(?P<before>{_SIGN}) ?(?P<inner>[+-]?)"
        rf"(?P<digits>(?:{_THOUSANDS % other}|\d+)(?:\{mark}\d*)?|\{mark}\d+)"
        rf"(?P<power>[eE][+-]?\d+)? ?(?P<after>{_SIGN}) ?(?P<close>[)-]?)",
        re.ASCII,
    )
    for mark, other in zip(MARKS, reversed(MARKS), strict=True)
}
# Number of values that resembles() checks.
_LOOKED_AT = 1_000
_MINUS = {"", "+", "-", "()"}
_UNIT = re.compile(r"(?:[A-Z]{3} ?)?(.*\d) ?(?:[^\W\d_]{1,3}[²³]?(?:/[^\W\d_]{1,3})?)?")
_DATE = re.compile(r"(\d{4}([-/.])\d\d?\2\d\d?|\d\d?([-/.])\d\d?\3(\d{4}|\d\d))([ T].*)?")


class AmbiguousNumberError(ValueError):
    """Numbers whose decimal mark could be a point or a comma."""


def find_format(values: Iterable[str], mark: str | None = None) -> str | None:
    """Return the format in which all values are numbers, or None.

    Parameters
    ----------
    values : iterable of str
        At least one.
    mark : {".", ","}, default=None
        Decimal mark if the values are ambiguous.

    Raises
    ------
    AmbiguousNumberError
        If the values are ambiguous and ``mark`` is None.
    """
    values = list(values)
    fitting = {each: read for each in MARKS if (read := _read_all(values, each))}
    if len({sign for read in fitting.values() for _, sign in read}) != 1:
        return None
    sign = next(iter(fitting.values()))[0][1]
    if len(fitting) == 1:
        return next(iter(fitting)) + sign
    for value, (point, _), (comma, _) in zip(values, *fitting.values(), strict=True):
        if point != comma:
            if mark is None:
                raise AmbiguousNumberError(
                    f"{shortened(value)} could be {point:g} or {comma:g}"
                )
            return mark + sign
    return sign


def parse(values: Sequence[str], form: str) -> list[float]:
    """Parse numbers in a format. Raises ValueError for values in other formats."""
    marks = [mark for mark in MARKS if mark == form[:1]] or MARKS
    numbers = []
    for value in values:
        read = {found for mark in marks if (found := _read(value, mark))}
        if {sign for _, sign in read} != {form.lstrip("".join(MARKS))} or len(read) > 1:
            raise ValueError(f"{shortened(value)} is not written as {example(form)}")
        numbers += [number for number, _ in read]
    return numbers


def example(form: str) -> str:
    """Return a number in a format, such as "'1,5 %'"."""
    mark, sign = form[:1] if form[:1] in MARKS else "", form.lstrip("".join(MARKS))
    return repr(f"1{mark}5 {sign}".strip())


def resembles(values: Sequence[str]) -> str | None:
    """Return "numbers" or "dates" if more than half of the values look like them."""
    values = values[:_LOOKED_AT]
    for what, looks in (("numbers", _looks_like_number), ("dates", _looks_like_date)):
        if sum(looks(value) for value in values) > len(values) / 2:
            return what
    return None


def _looks_like_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None


def _looks_like_number(text: str) -> bool:
    core = _UNIT.fullmatch(text)
    return any(_read(part, mark) for mark in MARKS for part in (text, core and core[1]) if part)


def _read_all(values: Sequence[str], mark: str) -> list[tuple[float, str]]:
    """Parse values; return an empty list if one is not a number with this decimal mark."""
    found = []
    for value in values:
        read = _read(value, mark)
        if read is None:
            return []
        found.append(read)
    return found


def _read(text: str, mark: str) -> tuple[float, str] | None:
    """Return a number and its percent or currency sign."""
    if _is_plain(text, mark):
        return float(text), ""
    match = _NUMBERS[mark].fullmatch(text.strip().translate(_PLAIN))
    if match is None:
        return None
    part = match.groupdict(default="")
    minus, signs = part["open"] + part["inner"] + part["close"], part["before"] + part["after"]
    if minus not in _MINUS or len(signs) > 1:
        return None
    digits = part["digits"].replace(part["group"], "").replace(mark, ".")
    number = float(digits + part["power"])
    return (-number if minus in ("-", "()") else number), signs


def _is_plain(text: str, mark: str) -> bool:
    """Whether Python can parse a number directly; patterns take far longer."""
    if text.isdigit() and text.isascii():
        return True
    whole, point, fraction = text.removeprefix("-").partition(".")
    return mark == "." and bool(point) and f"{whole}{fraction}".isdigit() and text.isascii()
