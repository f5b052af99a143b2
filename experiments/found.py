"""A plan and the store in; what figures are drawn from out: numbers, arrays and images of finished cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from anomaly_clustering.data import DefectDataModule
from experiments.categories import MTD, OBJECT, SYNTHETIC, TEXTURE, Category, Group, opened, single
from experiments.cells import Cell, Settings, Store
from experiments.plan import Plan
from experiments.spread import Results


@dataclass(frozen=True)
class Found:
    """What was measured for a table or figure.

    Args:
        otherwise: what was asked for in place of what is usual for it.
    """

    plan: Plan
    store: Store
    settings: Settings
    otherwise: Sequence[str] = ()

    @cached_property
    def results(self) -> Results:
        """The finished runs of each method on each category."""
        return {
            place: [record for cell in cells if (record := self.store.read(cell, self.plan.needs))]
            for place, cells in self.plan.cells.items()
        }

    @cached_property
    def categories(self) -> list[Category]:
        """Those on which something was measured."""
        return list(dict.fromkeys(category for (_, category), records in self.results.items() if records))

    @property
    def groups(self) -> list[Group]:
        """The groups, with a measured category, of which curves and bars are the means."""
        known = (single(SYNTHETIC),) if self.settings.synthetic else (OBJECT, TEXTURE, single(MTD))
        return [group for group in known if set(group.members) & set(self.categories)]

    def cell(self, method: str, category: Category) -> Cell | None:
        """The first finished run of a method on a category."""
        cells = self.plan.cells.get((method, category), [])
        return next((cell for cell in cells if self.store.read(cell)), None)

    def arrays(self, method: str, category: Category) -> dict[str, np.ndarray] | None:
        """What figures are drawn from: arrays of the first finished run of a method on a category; None without one."""
        cell = self.cell(method, category)
        return self.store.arrays(cell) if cell else None

    def data(self, category: Category) -> DefectDataModule:
        """Its images, as any of the finished runs had them."""
        cells = (self.cell(method, of) for method, of in self.plan.cells if of == category)
        return opened(next(filter(None, cells)).config["data"])
