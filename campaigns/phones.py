"""Which recipient does a cell mean?

A person writes a phone number in many ways; a message names it in one: digits with country code. The length must be
possible in its country; whether anybody answers there is for WhatsApp to say. Numbers that are kept for fiction pass.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

_WRITTEN: Final = re.compile(r"\+?[0-9 ()./\-]+\Z")
#: Marks that address books put around numbers, and the apostrophe by which spreadsheets keep a number as text.
_UNSEEN: Final = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]|^'")
_DASHES: Final = re.compile("[\u2010-\u2015\u2212]")
_SCIENTIFIC: Final = re.compile(r"[0-9][.,]?[0-9]*E\+?[0-9]+\Z", re.IGNORECASE)
#: WhatsApp's own form of Mexican numbers, one digit longer than the country's.
_MEXICO: Final = re.compile(r"521[1-9][0-9]{9}\Z")
#: Characters of a cell that are looked at: no number is written in more.
_LONGEST: Final = 40

_WHY: Final = {
    ValidationResult.INVALID_COUNTRY_CODE: "no country has this code: write it with country code, as in 393331234567",
    ValidationResult.TOO_SHORT: "has too few digits",
    ValidationResult.TOO_LONG: "has too many digits",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "has too few digits: write it with country and area code",
    ValidationResult.INVALID_LENGTH: "has a number of digits that its country doesn't have",
}


class NoNumber(ValueError):
    """The cell is no phone number; the text says why."""


@cache
def countries() -> frozenset[str]:
    """Return the countries by their two letters, as in IT."""
    return frozenset(phonenumbers.SUPPORTED_REGIONS)


def normalised(cell: str, *, country: str = "") -> str:
    """Return a recipient as digits with country code. `country` (two letters): where numbers without + or 00 are from.

    Without a country, digits are taken to begin with a country code. Raises NoNumber.
    """
    text = _DASHES.sub("-", unicodedata.normalize("NFKC", _UNSEEN.sub("", cell[: _LONGEST + 1]))).strip()
    if not text:
        raise NoNumber("is empty")
    if _SCIENTIFIC.match(text):
        raise NoNumber("was shortened by a spreadsheet: format the column as text, and fill it again")
    if len(text) > _LONGEST or not _WRITTEN.match(text):
        raise NoNumber("is no phone number: digits, and + before the country code, are enough")
    international = text.startswith(("+", "00"))
    if international or not country:
        text = "+" + re.sub("[^0-9]", "", text.removeprefix("00"))
        if _MEXICO.match(text[1:]):
            return text[1:]
    try:
        number = phonenumbers.parse(text, None if international or not country else country)
    except NumberParseException:
        raise NoNumber("is no phone number: write it with country code, as in 393331234567") from None
    verdict = phonenumbers.is_possible_number_with_reason(number)
    if verdict != ValidationResult.IS_POSSIBLE:
        raise NoNumber(_WHY.get(verdict, "is no phone number"))
    return phonenumbers.format_number(number, PhoneNumberFormat.E164).removeprefix("+")
