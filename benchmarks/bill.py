"""How much of what is charged: quantities, and what they come to.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.prices import ALLOWANCES, Price


@dataclass(frozen=True, slots=True)
class Bill:
    """Quantities by their price."""

    quantities: Mapping[Price, float] = field(default_factory=dict)

    @classmethod
    def typical(cls, bills: Sequence[Bill]) -> Bill:
        """The median of each quantity."""
        prices = {price: None for bill in bills for price in bill.quantities}
        return cls({price: median(bill.of(price) for bill in bills) for price in prices})

    def __add__(self, other: Bill) -> Bill:
        prices = {**self.quantities, **other.quantities}
        return Bill({price: self.of(price) + other.of(price) for price in prices})

    def times(self, factor: float) -> Bill:
        """So many of these."""
        return Bill({price: factor * quantity for price, quantity in self.quantities.items()})

    def of(self, price: Price) -> float:
        """The quantity that is charged at a price."""
        return self.quantities.get(price, 0)

    def usd(self, *prices: Price) -> float:
        """What it comes to at list price; of some prices only, where any are given."""
        return sum(price.each * self.of(price) for price in prices or self.quantities)

    def after_allowances(self) -> Bill:
        """What is left of a month's bill once AWS has given away what it gives each account."""
        left = dict(self.quantities)
        for allowance in ALLOWANCES:
            free = allowance.amount
            for price in allowance.prices:
                taken = min(free, left.get(price, 0))
                free -= taken
                left[price] = left.get(price, 0) - taken
        return Bill(left)
