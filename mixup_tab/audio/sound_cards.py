"""Cards of sets of sounds: what a set is, where it comes from, under which terms."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache

from mixup_tab.datasets.home import facts


@dataclass(frozen=True, kw_only=True)
class SoundCard:
    """One set of sounds.

    Parameters
    ----------
    name : str
        The name of the card's file.
    title, page, licence, citation : str
        As its authors give them.
    url : str
        Address of the archive file.
    sha256 : str or None
        Checksum of that file, if one is known.
    clips, speakers : int
        Size, and number of people.
    sample_rate : int
        In Hz.
    split, layout : str
        Which clips are for testing, and where files lie.
    labels : list of str
        What is said.
    note : str
        What to know.
    """

    name: str
    title: str
    page: str
    url: str
    licence: str
    citation: str
    clips: int
    speakers: int
    sample_rate: int
    split: str
    layout: str
    labels: list[str]
    sha256: str | None = None
    note: str = ""

    def description(self) -> str:
        """Return what a user should read before using the set."""
        lines = [
            f"{self.title}\n",
            f"{self.clips:,} clips of {len(self.labels)} words by {self.speakers:,} speakers, "
            f"{self.sample_rate:,} Hz.",
            f"Split: {self.split}.",
            f"Layout: {self.layout}.",
            self.note,
            f"Source: {self.page}, {self.url}",
            f"Licence: {self.licence}",
            f"Cite: {self.citation}",
        ]
        return "\n".join(line for line in lines if line)


@cache
def sound_cards() -> dict[str, SoundCard]:
    """Return all cards by name.

    Returns
    -------
    dict of str to SoundCard

    Raises
    ------
    TypeError
        For a card with a field that is missing or not known.

    Examples
    --------
    >>> sound_cards()["fsdd"].speakers
    6
    """
    paths = sorted(facts("speech").glob("*.toml"))
    texts = {path.stem: path.read_text(encoding="utf-8") for path in paths}
    return {name: SoundCard(name=name, **tomllib.loads(text)) for name, text in texts.items()}
