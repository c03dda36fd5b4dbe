"""How do previews, marks and the audit log look on a terminal?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from console.output import COLOURS, moment
from scheduler.history import Change
from scheduler.marks import Mark, What
from scheduler.outlook import ClassOutlook
from scheduler.preview import Preview
from scheduler.steer import Steered, Verb

_WHAT = {What.HOLD: "holds", What.DROP: "drops", What.DRAIN: "takes no more of"}


def preview(console: Console, title: str, found: Preview) -> None:
    """Show how many messages something is about, and some of them."""
    console.print(Text.assemble((title, "bold"), f": {found} messages"))
    if found.samples:
        table = _table("id", "to", "class", "age", "campaign", "tag", "where")
        for one in found.samples:
            age = "" if one.age_s is None else f"{one.age_s:,} s"
            class_ = Text(one.class_, COLOURS[one.class_])
            # Text, not markup: a stranger wrote it.
            table.add_row(*map(Text, (one.id, one.to)), class_, *map(Text, (age, one.campaign, one.tag, one.where)))
        console.print(table)


def marks(console: Console, found: Sequence[Mark]) -> None:
    """List marks."""
    if not found:
        console.print("nothing is held, dropped or drained")
        return
    table = _table("since", "does", "messages", "by", "why", "until", "dropped")
    for mark in found:
        rows = f"{mark.rows:,}" if mark.what is What.DROP else ""
        cells = (moment(mark.at_ms), _WHAT[mark.what], str(mark.selection), mark.by, mark.reason)
        table.add_row(*map(Text, (*cells, moment(mark.until_ms), rows)))
    console.print(table)


def would_go(console: Console, found: Mapping[str, Sequence[ClassOutlook]]) -> None:
    """Say of paused numbers what would go now: what to look at before they are resumed."""
    for number, classes in found.items():
        for one in classes:
            age = "" if one.oldest_s is None else f", the oldest for {one.oldest_s:,} s"
            gone = f"{one.expired:,} of the first {one.looked:,} expired"
            told = f"{one.waiting:,} {one.class_.value} would go{age}; {gone}"
            console.print(Text(f"{number} on resume: {told}", "yellow"), soft_wrap=True)


def audit(console: Console, number: str, entries: Sequence[Change]) -> None:
    """List who did what with a number."""
    console.print(Text(number, "bold"))
    if not entries:
        console.print("  nothing was done yet")
        return
    table = _table("when", "by", "from", "what", "rows", "until", "why")
    for one in entries:
        rows = "" if one.rows is None else f"{one.rows:,}"
        table.add_row(
            *map(Text, (moment(one.at_ms), one.by, one.where, one.what, rows, moment(one.until_ms), one.reason))
        )
    console.print(table)


def told(number: str, done: Steered) -> str:
    """Say in a sentence what was done."""
    which = f"{done.selection} of {number}"
    ends = f" until {moment(done.marks[0].until_ms)}" if done.marks and done.marks[0].until_ms else ""
    match done.verb:
        case Verb.PAUSE:
            return f"{which}: held{ends}; `headway resume` with the same options lets them go on"
        case Verb.RESUME:
            return f"{which}: no longer held"
        case Verb.DRAIN:
            return f"{which}: no more are taken{ends}; what waits leaves"
        case Verb.ACCEPT:
            return f"{which}: taken again"
        case _:
            return f"{which}: {done.dropped or 0:,} dropped; what stands behind others is dropped when it is met"


def _table(*names: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in names:
        table.add_column(name, overflow="fold")
    return table
