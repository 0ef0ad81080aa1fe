"""Seeded synthetic invoice lines with the quirks of the Online Retail data.

Every draw is an integer from a NumPy generator: nothing that another machine could round otherwise.
"""

from datetime import date, timedelta
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from retail_clusters import schema
from retail_clusters.errors import InputError

Integers: TypeAlias = npt.NDArray[np.int64]

FIRST_DAY: Final = date(2010, 12, 1)
LAST_DAY: Final = date(2011, 12, 9)
_SATURDAY: Final = 5
_FIRST_INVOICE: Final = 536_365
_FIRST_CUSTOMER, _CUSTOMERS = 12_346, 4_300

#: Lines of a day, in percent of the mean: Monday to Sunday, January to December.
_WEEKDAY_PERCENT: Final = (104, 119, 98, 125, 88, 0, 66)
_MONTH_PERCENT: Final = (82, 68, 77, 80, 83, 80, 86, 80, 109, 131, 170, 140)

_TRADE, _WEB, _CRATE = range(3)
#: Price of a good in pence: for the trade, on the web (buyers without an account), by the crate.
_PRICES: Final = np.array(
    [
        (29, 55, 25), (42, 83, 36), (65, 125, 55), (85, 163, 72), (125, 246, 106), (165, 329, 145),
        (210, 413, 185), (295, 579, 255), (375, 746, 339), (495, 996, 425), (850, 1663, 795),
        (1275, 2496, 1095),
    ]
)  # fmt: skip
_GOODS: Final = (
    ("LUNCH BAG", 5), ("JUMBO BAG", 6), ("PACK OF 72 CAKE CASES", 1), ("CERAMIC MUG", 4), ("TEA TOWEL", 7),
    ("GIFT WRAP", 1), ("CAKE TIN", 9), ("BUNTING", 9), ("ALARM CLOCK", 8), ("PICTURE FRAME", 7),
    ("BIRTHDAY CARD", 1), ("T-LIGHT HOLDER", 3), ("HOT WATER BOTTLE", 8), ("PAPER CHAIN KIT", 7),
    ("TISSUE BOX", 4), ("LANTERN", 10), ("CAKESTAND 3 TIER", 11), ("HAND WARMER", 6), ("KEY RING", 0),
    ("BIRD ORNAMENT", 5),
)  # fmt: skip
_STYLES: Final = ("RED RETROSPOT", "PINK POLKADOT", "VINTAGE LEAF", "SUKI DESIGN", "UNION FLAG", "WOODLAND")
_SPECIALS: Final = (
    ('RECORD FRAME 7" SINGLE SIZE ', 7), ("SET 3 RETROSPOT TEA,COFFEE,SUGAR", 9), ("KEY FOB , SHED", 2),
    ("FANCY FONT BIRTHDAY CARD, ", 1), ("AIRLINE LOUNGE,METAL SIGN", 6), ("TRAY, BREAKFAST IN BED", 11),
    ('ASSORTED FLOWER COLOUR "LEIS"', 2), ('PINK/WHITE "KEEP CLEAN" BULLET BIN', 8),
)  # fmt: skip
_CATALOGUE: Final = (*((f"{good} {style}", tier) for style in _STYLES for good, tier in _GOODS), *_SPECIALS)
_STOCK_CODES: Final = np.array(
    [f"{20_700 + 37 * i}{'' if i % 6 else 'B'}" for i, _ in enumerate(_CATALOGUE)], object
)
_DESCRIPTIONS: Final = np.array([name for name, _ in _CATALOGUE], object)
_TIERS: Final = np.array([tier for _, tier in _CATALOGUE])

#: Charges that are no goods: stock code, description, sign of the quantity.
_FEES: Final = np.array(
    [
        ("M", "Manual", 1), ("M", "Manual", -1), ("DOT", "DOTCOM POSTAGE", 1), ("POST", "POSTAGE", 1),
        ("AMAZONFEE", "AMAZON FEE", -1), ("BANK CHARGES", "Bank Charges", -1),
    ],
    object,
)  # fmt: skip

# Draws from these tables are uniform, so a value's weight is how often it stands there.
_INVOICE_SIZES: Final = np.array([1, 1, 1, 2, 3, 5, 7, 10, 12, 15, 17, 20, 23, 27, 32, 40, 50, 70, 110])
_TRADE_QUANTITIES: Final = np.array(
    [1] * 16 + [2] * 12 + [3] * 6 + [4] * 9 + [6] * 11 + [8] * 4 + [10] * 7 + [12] * 17 + [20] * 2 + [24] * 8
    + [25, 36, 48, 48, 72, 96, 100, 144]
)  # fmt: skip
_WEB_QUANTITIES: Final = np.array([1] * 12 + [2] * 4 + [3] * 2 + [4, 5, 6, 10])
_RETURNED_QUANTITIES: Final = np.array([1] * 8 + [2] * 4 + [3, 4, 6, 6, 12, 12, 24, 36])
_BULK_EXPONENTS: Final = np.array([1] * 12 + [2] * 3 + [3])
_FEE_EXPONENTS: Final = np.array([1] * 8 + [2] * 6 + [3] * 3)
_COUNTRIES: Final = np.array(
    ["United Kingdom"] * 91 + ["Germany", "Germany", "France", "France", "EIRE", "Spain", "Netherlands"]
    + ["Belgium", "Switzerland"], object,
)  # fmt: skip


def days(count: int) -> list[date]:
    """Spread `count` trading days evenly over the year, its first and last day among them."""
    open_days = _trading_days()
    if not 3 <= count <= len(open_days):
        raise InputError(
            f"days must lie between 3 and {len(open_days)}, the days from {FIRST_DAY} to {LAST_DAY} "
            f"without Saturdays, but got {count}; give a number in that range"
        )
    return [open_days[i * (len(open_days) - 1) // (count - 1)] for i in range(count)]


def invoice_lines(day: date, *, lines: int, seed: int) -> pd.DataFrame:
    """Make the invoice lines of one day: about `lines` on a mean day, more in autumn and on Thursdays.

    The result depends on the arguments alone; other days and earlier calls do not matter.
    """
    check(day, lines=lines, seed=seed)
    rng = np.random.default_rng([seed, day.toordinal()])
    total = max(1, lines * _WEEKDAY_PERCENT[day.weekday()] * _MONTH_PERCENT[day.month - 1] // 10_000)
    parts = [make(rng, total) for make in (_orders, _bulk_orders, _fees, _stock_adjustments)]
    frame = pd.concat([part.assign(part=i) for i, part in enumerate(parts) if len(part)], ignore_index=True)
    return _dated(frame, day, numbers_per_day=max(50, lines))


def _trading_days() -> list[date]:
    year = (FIRST_DAY + timedelta(days=i) for i in range((LAST_DAY - FIRST_DAY).days + 1))
    return [day for day in year if day.weekday() != _SATURDAY]


def check(day: date, *, lines: int, seed: int) -> None:
    """Refuse arguments that no lines can be made of."""
    if not FIRST_DAY <= day <= LAST_DAY or day.weekday() == _SATURDAY:
        raise InputError(
            f"A day must lie between {FIRST_DAY} and {LAST_DAY} and be no Saturday, "
            f"but got {day:%A %Y-%m-%d}; take one from days(count)"
        )
    if lines < 1:
        raise InputError(f"Lines per day must be at least 1, but got {lines}; give a positive number")
    if seed < 0:
        raise InputError(f"A seed must not be negative, but got {seed}; give 0 or more")


def _orders(rng: np.random.Generator, total: int) -> pd.DataFrame:
    """Fill baskets of goods: a quarter bought without an account, some of the others a small return."""
    web = rng.integers(0, 100, total) < 23
    returned = (rng.integers(0, 100, total) < 13) & ~web
    sizes = np.where(returned, rng.integers(1, 5, total), _draw(rng, _INVOICE_SIZES, total))
    customers, minutes = _customers(rng, total), _minutes(rng, total)
    of = np.repeat(np.arange(total), sizes)[:total]
    bought = np.where(web[of], _draw(rng, _WEB_QUANTITIES, total), _draw(rng, _TRADE_QUANTITIES, total))
    quantity = np.where(returned[of], -_draw(rng, _RETURNED_QUANTITIES, total), bought)
    price_list = np.where(web[of], _WEB, np.where(quantity >= 24, _CRATE, _TRADE))
    goods = _goods(rng, price_list)
    return goods.assign(
        invoice=of, minute=minutes[of], Quantity=quantity, CustomerID=np.where(web[of], np.nan, customers[of])
    )


def _bulk_orders(rng: np.random.Generator, total: int) -> pd.DataFrame:
    """Add orders of hundreds to tens of thousands, about half of them taken back soon after."""
    count = _how_many(rng, total, one_in=400)
    orders = _goods(rng, np.full(count, _CRATE)).assign(
        minute=_minutes(rng, count),
        Quantity=rng.integers(10, 100, count) * 10 ** _draw(rng, _BULK_EXPONENTS, count),
        CustomerID=_customers(rng, count),
    )
    returns = orders[rng.integers(0, 2, count) == 1]
    returns = returns.assign(minute=returns.minute + 12, Quantity=-returns.Quantity)
    both = pd.concat([orders, returns], ignore_index=True)
    return both.assign(invoice=np.arange(len(both)))


def _fees(rng: np.random.Generator, total: int) -> pd.DataFrame:
    """Add postage, commissions and manual entries: one piece at ten to some thousand pounds."""
    count = _how_many(rng, total, one_in=300)
    stock_code, description, sign = _FEES[rng.integers(0, len(_FEES), count)].T
    pence = rng.integers(100, 1000, count) * 10 ** _draw(rng, _FEE_EXPONENTS, count)
    return pd.DataFrame(
        {
            "invoice": np.arange(count),
            "minute": _minutes(rng, count),
            schema.STOCK_CODE: stock_code,
            schema.DESCRIPTION: description,
            schema.QUANTITY: sign.astype(np.int64),
            schema.UNIT_PRICE: pence / 100,
        }
    )


def _stock_adjustments(rng: np.random.Generator, total: int) -> pd.DataFrame:
    """Add corrections of the stock: no description, no price, no customer."""
    count = _how_many(rng, total, one_in=350)
    quantity = rng.integers(1, 60, count) * (1 - 2 * rng.integers(0, 2, count))
    goods = _goods(rng, np.full(count, _TRADE))
    return goods.assign(
        invoice=np.arange(count),
        minute=_minutes(rng, count),
        Description=None,
        Quantity=quantity,
        UnitPrice=0.0,
    )


def _goods(rng: np.random.Generator, price_list: Integers) -> pd.DataFrame:
    """Pick a good for each line, the first in the catalogue more often, at the price of the line's list."""
    good = rng.integers(0, len(_TIERS), (2, len(price_list))).min(axis=0)
    return pd.DataFrame(
        {
            schema.STOCK_CODE: _STOCK_CODES[good],
            schema.DESCRIPTION: _DESCRIPTIONS[good],
            schema.UNIT_PRICE: _PRICES[_TIERS[good], price_list] / 100,
        }
    )


def _draw(rng: np.random.Generator, table: Integers, count: int) -> Integers:
    return table[rng.integers(0, len(table), count)]


def _how_many(rng: np.random.Generator, total: int, *, one_in: int) -> int:
    return int(np.count_nonzero(rng.integers(0, one_in, total) == 0))


def _customers(rng: np.random.Generator, count: int) -> Integers:
    drawn: Integers = rng.integers(0, _CUSTOMERS, (2, count)).min(axis=0)
    return _FIRST_CUSTOMER + drawn


def _minutes(rng: np.random.Generator, count: int) -> Integers:
    """Draw minutes of the day from 8:00 to 18:00, most about 13:00."""
    drawn: Integers = rng.integers(0, 300, (2, count)).sum(axis=0)
    return 8 * 60 + drawn


def _dated(frame: pd.DataFrame, day: date, *, numbers_per_day: int) -> pd.DataFrame:
    """Number the invoices in the order of the day and give each its time and country."""
    first = _FIRST_INVOICE + (day - FIRST_DAY).days * numbers_per_day
    number = first + frame.groupby(["minute", "part", "invoice"]).ngroup()
    # A stock adjustment may be negative, and is no cancellation: in the data it has no description.
    cancelled = frame[schema.QUANTITY].lt(0) & frame[schema.DESCRIPTION].notna()
    home = frame[schema.CUSTOMER_ID].fillna(0).astype(int) % len(_COUNTRIES)
    dated = frame.assign(
        number=number,
        InvoiceNo=np.where(cancelled, "C", "") + number.astype(str).astype(object),
        InvoiceDate=pd.Timestamp(day) + pd.to_timedelta(frame.minute, unit="min"),
        Country=_COUNTRIES[home],
    )
    return dated.sort_values("number", kind="stable", ignore_index=True)[list(schema.COLUMNS)]
