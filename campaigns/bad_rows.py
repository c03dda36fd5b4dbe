"""How does whoever made the file get its bad rows back, to correct and send them?"""

from __future__ import annotations

import csv
from typing import IO

from campaigns.plan import Plan
from campaigns.tables import Table

#: The columns that are added, before the file's own.
ADDED = ("row", "problem")


def write(table: Table, plan: Plan, to: IO[str]) -> int:
    """Write the rows that can't be sent as CSV, with what is wrong with each; return how many there are.

    The added columns come last, so that the corrected file can be sent as it is.
    """
    problems: dict[int, list[str]] = {}
    for problem in plan.bad:
        problems.setdefault(problem.row, []).append(
            f"{problem.column}: {problem.problem}" if problem.column else problem.problem
        )
    writer = csv.writer(to)
    taken = {name.casefold() for name in table.columns}
    added = [name if name not in taken else f"headway {name}" for name in ADDED]
    writer.writerow([*table.columns, *added])
    for record in table.records:
        if record.row in problems:
            cells = [record.cell(at) for at in range(len(table.columns))]
            writer.writerow([*cells, record.row, "; ".join(problems[record.row])])
    return len(problems)
