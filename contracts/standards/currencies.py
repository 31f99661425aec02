"""What a price may be in: the currencies that this system takes, and the decimals that each has.

In: a currency's code, a price, the setting EVENTHUB_CURRENCIES. Out: what is wrong with them, or nothing.
Must stay true: decimals are those of ISO 4217 (package `iso4217`, ISO's own table); a price in yen is a whole number,
however it is written ("100" and "100.00" are one price). No I/O after the import.
"""

from collections.abc import Collection
from decimal import Decimal

from iso4217 import Currency


def decimals_of(code: str) -> int | None:
    """Decimals of a currency's smallest unit; None when ISO 4217 does not know the code, or gives it none."""
    try:
        return Currency(code).exponent
    except ValueError:
        return None


def currency_fault(code: str, taken: Collection[str]) -> str | None:
    """Why a price may not be in this currency."""
    return None if code in taken else f"is none of {', '.join(taken)}"


def price_fault(price: Decimal, code: str) -> str | None:
    """Why this is no price in this currency. A code that ISO 4217 does not know (a type of before) has any decimals."""
    decimals = decimals_of(code)
    if decimals is None or price == round(price, decimals):
        return None
    return f"has more decimals than {code} ({decimals})"
