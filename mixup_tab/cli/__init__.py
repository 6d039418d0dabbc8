"""The command line: parses, calls the package, prints. Heavy imports wait until needed."""

from __future__ import annotations

import codecs
import sys

from mixup_tab._extras import import_extra

# What we print beyond ASCII, where the output cannot hold it.
_ASCII = {"α": "alpha", "−": "-", "–": "-", "≈": "~", "±": "+/-", "Δ": "difference", "²": "2"}
_ASCII |= {"…": "...", "“": '"', "”": '"', "×": "x", "λ": "lambda"}

# typer takes the name "ascii" for a mistake of the system, and writes UTF-8 there.
_ASCII_NAME = "mixup_tab_ascii"


def main() -> None:
    """Run ``mixup-tab``, or say what to install."""
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
    """Return ASCII under another name."""
    found = codecs.lookup("ascii")
    more = found.incrementalencoder, found.incrementaldecoder, name
    return codecs.CodecInfo(*found, *more) if name == _ASCII_NAME else None


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Spell characters that an encoding lacks with those of ASCII."""
    assert isinstance(error, UnicodeEncodeError)
    texts = []
    for letter in error.object[error.start : error.end]:
        escaped = letter.encode("ascii", errors="backslashreplace").decode()
        texts.append(_ASCII.get(letter, escaped))
    return "".join(texts), error.end
