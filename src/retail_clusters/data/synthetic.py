"""Seeded synthetic invoice lines with the structure and the quirks of the Online Retail data.

Cheap goods are bought in bulk, and customers have habits: what kind of buyer they are, how often they come and
from when to when. Every draw is an integer from a NumPy generator: nothing that another machine could round
otherwise.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from retail_clusters import schema
from retail_clusters.errors import InputError

Integers: TypeAlias = npt.NDArray[np.int64]

FIRST_DAY: Final = date(2010, 12, 1)
LAST_DAY: Final = date(2011, 12, 9)
_YEAR: Final = (LAST_DAY - FIRST_DAY).days + 1
_SATURDAY, _SUNDAY = 5, 6
_OCTOBER: Final = 10
_FIRST_INVOICE, _FIRST_CUSTOMER = 536_365, 12_346

#: Lines of a day, in percent of the mean: Monday to Sunday, January to December.
_WEEKDAY_PERCENT: Final = (104, 119, 98, 125, 88, 0, 66)
_MONTH_PERCENT: Final = (82, 68, 77, 80, 83, 80, 86, 80, 109, 131, 170, 140)

#: Prices in pence, and how many pieces are in a pack of such a good.
_PRICES: Final = (
    (29, 24), (42, 24), (55, 12), (85, 12), (125, 12), (165, 12), (210, 10), (295, 8), (375, 6), (495, 4),
    (995, 2), (1275, 1), (1495, 1),
)  # fmt: skip
#: Goods with their place among the prices, and styles with how many places dearer they are.
_GOODS: Final = (
    ("LUNCH BAG", 5), ("JUMBO BAG", 6), ("PACK OF 72 CAKE CASES", 1), ("CERAMIC MUG", 4), ("TEA TOWEL", 7),
    ("GIFT WRAP", 2), ("CAKE TIN", 8), ("BUNTING", 8), ("ALARM CLOCK", 9), ("PICTURE FRAME", 7),
    ("BIRTHDAY CARD", 1), ("T-LIGHT HOLDER", 3), ("HOT WATER BOTTLE", 8), ("PAPER CHAIN KIT", 7),
    ("TISSUE BOX", 4), ("LANTERN", 8), ("CAKESTAND 3 TIER", 11), ("HAND WARMER", 5), ("KEY RING", 3),
)  # fmt: skip
_STYLES: Final = {"RED RETROSPOT": 0, "PINK POLKADOT": -1, "VINTAGE LEAF": 1, "SUKI DESIGN": 0, "WOODLAND": 1}
_SPECIALS: Final = (
    ('RECORD FRAME 7" SINGLE SIZE ', 7), ("SET 3 RETROSPOT TEA,COFFEE,SUGAR", 8), ("KEY FOB , SHED", 3),
    ("FANCY FONT BIRTHDAY CARD, ", 1), ("TRAY, BREAKFAST IN BED", 11), ('ASSORTED COLOUR "LEIS"', 3),
)  # fmt: skip
_CATALOGUE: Final = (
    *((f"{good} {style}", place + dearer) for style, dearer in _STYLES.items() for good, place in _GOODS),
    *_SPECIALS,
)
_STOCK_CODES: Final = np.array(
    [f"{20_700 + 37 * i}{'' if i % 6 else 'B'}" for i in range(len(_CATALOGUE))], object
)
_DESCRIPTIONS: Final = np.array([name for name, _ in _CATALOGUE], object)
_PENCE, _PACK = np.array([_PRICES[place] for _, place in _CATALOGUE]).T

# Draws from the tables below are uniform, so a value's weight is how often it stands there.
#: Charges that are no goods: stock code, description, sign of the quantity.
_FEES: Final = (
    ("M", "Manual", 1), ("M", "Manual", -1), ("DOT", "DOTCOM POSTAGE", 1), ("POST", "POSTAGE", 1),
    ("AMAZONFEE", "AMAZON FEE", -1), ("BANK CHARGES", "Bank Charges", -1),
)  # fmt: skip
#: Kinds of buyers: on the web without an account; customers who are households, shops, wholesalers.
_WEB, _HOUSEHOLD, _SHOP, _WHOLESALER = range(4)
#: A customer's kind, and how often the customer comes, beside 1 out of season.
_HABITS: Final = ((_HOUSEHOLD, 9),) * 31 + ((_WHOLESALER, 22),) * 6 + ((_SHOP, 160),) * 3 + ((_SHOP, 240),)
#: Of each kind, lines of an invoice.
_SIZES: Final = np.array([
    [1, 1, 1, 1, 1, 2, 12, 30, 55, 100], [2, 3, 4, 5, 6, 7, 8, 9, 10, 12],
    [3, 5, 6, 7, 8, 9, 10, 11, 13, 16], [3, 4, 4, 5, 5, 5, 6, 6, 7, 8],
])  # fmt: skip
#: Of each kind, how many of a good: pieces on the web and for a household, else quarters of a pack.
_AMOUNTS: Final = np.array([
    [1] * 9 + [2] * 4 + [3] * 2 + [4], [1] * 9 + [2] * 5 + [3] * 2,
    [3] + [4] * 13 + [8] * 2, [16] * 4 + [24] * 6 + [32] * 4 + [40] * 2,
])  # fmt: skip
_COUNTRIES: Final = np.array(
    ["United Kingdom"] * 91
    + ["Germany"] * 2 + ["France"] * 2 + ["EIRE", "Spain", "Netherlands", "Belgium", "Switzerland"], object,
)  # fmt: skip


def days(count: int) -> list[date]:
    """Spread `count` trading days evenly over the year, its first and last day among them."""
    year = (FIRST_DAY + timedelta(days=i) for i in range(_YEAR))
    open_days = [day for day in year if day.weekday() != _SATURDAY]
    if not 3 <= count <= len(open_days):
        raise InputError(
            f"days must lie between 3 and {len(open_days)}, the days from {FIRST_DAY} to {LAST_DAY} "
            f"without Saturdays, but got {count}; give a number in that range"
        )
    return [open_days[i * (len(open_days) - 1) // (count - 1)] for i in range(count)]


def invoice_lines(day: date, *, lines: int, seed: int, before: date | None = None) -> pd.DataFrame:
    """Make the invoice lines of one day: about `lines` on a mean day, more in autumn and on Thursdays.

    The result depends on the arguments alone; earlier calls do not matter. What is returned was bought on the
    day `before`, the last trading day if left out.
    """
    check(day, lines=lines, seed=seed)
    rng, total = np.random.default_rng([seed, day.toordinal()]), _busy(day, lines)
    before = before or day - timedelta(days=2 if day.weekday() == _SUNDAY else 1)
    bulk, fees, adjustments = (
        int(np.count_nonzero(rng.integers(0, one_in, total) == 0)) for one_in in (600, 300, 350)
    )
    parts = [
        _orders(day, lines, seed),
        _returns(rng, _orders(before, lines, seed)),
        _bulk_orders(rng, bulk, _customers(day, lines, seed)),
        _fees(rng, fees),
        _stock_adjustments(rng, adjustments),
    ]
    frame = pd.concat([part.assign(part=i) for i, part in enumerate(parts) if len(part)], ignore_index=True)
    return _dated(frame, day, numbers_per_day=max(50, lines))


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


def _busy(day: date, lines: int) -> int:
    return max(1, lines * _WEEKDAY_PERCENT[day.weekday()] * _MONTH_PERCENT[day.month - 1] // 10_000)


def _customers(day: date, lines: int, seed: int) -> pd.DataFrame:
    """Return all customers: number, kind, and how often each comes at this time of the year.

    A quarter comes before Christmas alone. Of the others half were customers before the year, and few leave in it.
    """
    rng, count, today = np.random.default_rng(seed), 50 + 3 * lines, (day - FIRST_DAY).days
    kind, visits = _draw(rng, _HABITS, count).T
    joined = rng.integers(-_YEAR, _YEAR, count)
    left = np.maximum(joined, 0) + rng.integers(100, 6 * _YEAR, count)
    seasonal = rng.integers(0, 4, count) == 0
    is_there = np.where(seasonal, day.month >= _OCTOBER, (joined <= today) & (today < left))
    number = _FIRST_CUSTOMER + np.arange(count)
    return pd.DataFrame({schema.CUSTOMER_ID: number, "kind": kind, "visits": np.where(is_there, visits, 1)})


def _orders(day: date, lines: int, seed: int) -> pd.DataFrame:
    """Fill baskets of goods, one in seven for buyers without an account."""
    rng, total = np.random.default_rng([seed, day.toordinal(), 1]), _busy(day, lines)
    buyers, web = _pick(rng, _customers(day, lines, seed), total), rng.integers(0, 7, total) == 0
    kind = np.where(web, _WEB, buyers["kind"])
    buyers = buyers.assign(kind=kind, CustomerID=buyers[schema.CUSTOMER_ID].mask(web))
    sizes = _SIZES[kind, rng.integers(0, _SIZES.shape[1], total)]
    filled = _timed(rng, buyers).loc[np.repeat(np.arange(total), sizes)[:total]]
    return _with_goods(rng, filled)


def _returns(rng: np.random.Generator, orders: pd.DataFrame) -> pd.DataFrame:
    """Take back one line in fifty of what customers bought, half of them in full, the others in part."""
    back: pd.DataFrame = orders[(rng.integers(0, 50, len(orders)) == 0) & orders[schema.CUSTOMER_ID].notna()]
    bought = back[schema.QUANTITY].to_numpy()
    in_full = rng.integers(0, 2, len(back)) == 0
    return back.assign(Quantity=-np.where(in_full, bought, rng.integers(0, bought) + 1))


def _bulk_orders(rng: np.random.Generator, count: int, customers: pd.DataFrame) -> pd.DataFrame:
    """Add orders of hundreds to tens of thousands, about half of them taken back soon after."""
    likely = customers["visits"] * np.where(customers["kind"] == _WHOLESALER, 100, 1)
    orders = _with_goods(rng, _timed(rng, _pick(rng, customers.assign(visits=likely), count)))
    pieces = rng.integers(10, 100, count) * 10 ** _draw(rng, [1] * 15 + [2] * 3 + [3], count)
    orders = orders.assign(Quantity=1 + orders["pack"] * pieces // 12)
    returns = orders[rng.integers(0, 2, count) == 1]
    returns = returns.assign(minute=returns.minute + 12, Quantity=-returns.Quantity)
    both = pd.concat([orders, returns], ignore_index=True)
    return both.assign(invoice=np.arange(len(both)))


def _fees(rng: np.random.Generator, count: int) -> pd.DataFrame:
    """Add postage, commissions and manual entries: one piece at ten to some thousand pounds."""
    chosen = [_FEES[i] for i in rng.integers(0, len(_FEES), count)]
    fees = pd.DataFrame(chosen, columns=[schema.STOCK_CODE, schema.DESCRIPTION, schema.QUANTITY])
    pence = rng.integers(100, 1000, count) * 10 ** _draw(rng, [1] * 20 + [2] * 6 + [3], count)
    return _timed(rng, fees.assign(UnitPrice=pence / 100))


def _stock_adjustments(rng: np.random.Generator, count: int) -> pd.DataFrame:
    """Add corrections of the stock: no description, no price, no customer."""
    goods = _with_goods(rng, _timed(rng, pd.DataFrame({"kind": np.full(count, _WEB)})))
    pieces = rng.integers(1, 60, count) * _draw(rng, [-1, 1], count)
    return goods.assign(Description=None, Quantity=pieces, UnitPrice=0.0)


def _with_goods(rng: np.random.Generator, buyers: pd.DataFrame) -> pd.DataFrame:
    """Give each line a good, the first in the catalogue more often, and the quantity and price of its buyer.

    Of two goods shops and wholesalers take the cheaper one, and buy it by the pack; others take the dearer one, by
    the piece.
    """
    kind = buyers["kind"].to_numpy()
    one, other = rng.integers(0, len(_CATALOGUE), (2, 2, len(buyers))).min(axis=0)
    good = np.where((_PENCE[one] < _PENCE[other]) == (kind >= _SHOP), one, other)
    pack, amount = _PACK[good], _AMOUNTS[kind, rng.integers(0, _AMOUNTS.shape[1], len(buyers))]
    quantity = np.maximum(1, np.where(kind < _SHOP, amount, amount * pack // 4))
    percent = np.where(kind == _WEB, 197, np.where(quantity >= 4 * pack, 85, 100))
    return buyers.assign(
        StockCode=_STOCK_CODES[good],
        Description=_DESCRIPTIONS[good],
        Quantity=quantity,
        UnitPrice=(_PENCE[good] * percent + 50) // 100 / 100,
        pack=pack,
    )


def _pick(rng: np.random.Generator, customers: pd.DataFrame, count: int) -> pd.DataFrame:
    """Draw customers, each as often as `visits` says."""
    visits = customers["visits"].to_numpy().cumsum()
    picked = np.searchsorted(visits, rng.integers(0, visits[-1], count), side="right")
    return customers.iloc[picked].reset_index(drop=True)


def _draw(rng: np.random.Generator, table: Sequence[Any], count: int) -> Integers:
    drawn: Integers = np.array(table)[rng.integers(0, len(table), count)]
    return drawn


def _timed(rng: np.random.Generator, invoices: pd.DataFrame) -> pd.DataFrame:
    """Give each row an invoice and a minute of the day from 8:00 to 18:00, most about 13:00."""
    count = len(invoices)
    return invoices.assign(
        invoice=np.arange(count), minute=8 * 60 + rng.integers(0, 300, (2, count)).sum(axis=0)
    )


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
