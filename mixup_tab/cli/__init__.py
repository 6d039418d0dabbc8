"""The command line: parse options, call the package, print. Heavy imports are lazy."""

from __future__ import annotations

import codecs
import sys

from mixup_tab._extras import import_extra

# Replacements where the output encoding lacks a character.
_ASCII = {"α": "alpha", "−": "-", "–": "-", "≈": "~", "±": "+/-", "Δ": "difference", "²": "2"}
_ASCII |= {"…": "...", "“": '"', "”": '"', "×": "x", "λ": "lambda"}

# typer takes the encoding "ascii" for a misconfigured system and writes UTF-8 instead.
_ASCII_NAME = "mixup_tab_ascii"


def main() -> None:
    """Run ``mixup-tab``; exit with an install hint if typer or rich is missing."""
    codecs.register_error("spell", _in_ascii)
    codecs.register(_plain_ascii)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a redirect on Windows is not UTF-8
            ascii_only = codecs.lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding=_ASCII_NAME if ascii_only else None, errors="spell")
    try:
        for library in ("typer", "rich"):
            import_extra(library, "cli")
    except ImportError as error:
        sys.exit(f"Error: {error}")
    from mixup_tab.cli.app import app

    app()


def _plain_ascii(name: str) -> codecs.CodecInfo | None:
    """Register ASCII under another name."""
    found = codecs.lookup("ascii")
    more = found.incrementalencoder, found.incrementaldecoder, name
    return codecs.CodecInfo(*found, *more) if name == _ASCII_NAME else None


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Spell out in ASCII the characters that an encoding lacks."""
    assert isinstance(error, UnicodeEncodeError)
    texts = []
    for letter in error.object[error.start : error.end]:
        escaped = letter.encode("ascii", errors="backslashreplace").decode()
        texts.append(_ASCII.get(letter, escaped))
    return "".join(texts), error.end
