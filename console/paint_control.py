"""How do previews, marks and the audit log look on a terminal?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from console.output import COLOURS, count, moment
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
        rows = []
        for one in found.samples:
            age = "" if one.age_s is None else f"{one.age_s:,} s"
            rows.append((one.id, one.to, Text(one.class_, COLOURS[one.class_]), age, one.campaign, one.tag, one.where))
        console.print(_table(("id", "to", "class", "age", "campaign", "tag", "where"), rows))


def marks(console: Console, found: Sequence[Mark]) -> None:
    """List marks."""
    if not found:
        console.print("nothing is held, dropped or drained")
        return
    rows = []
    for mark in found:
        dropped = f"{mark.rows:,}" if mark.what is What.DROP else ""
        cells = (moment(mark.at_ms), _WHAT[mark.what], str(mark.selection), mark.by, mark.reason)
        rows.append((*cells, moment(mark.until_ms), dropped))
    console.print(_table(("since", "does", "messages", "by", "why", "until", "dropped"), rows))


def would_go(console: Console, found: Mapping[str, Sequence[ClassOutlook]]) -> None:
    """Say of paused numbers what would go now: what to look at before they are resumed."""
    for number, classes in found.items():
        for one in classes:
            age = "" if one.oldest_s is None else f", the oldest for {one.oldest_s:,} s"
            gone = f"{one.expired:,} of the first {one.looked:,} expired"
            told = f"{one.waiting:,} {one.class_.value} would go{age}; {gone}"
            console.print(Text(f"{number} on resume: {told}", "yellow"), soft_wrap=True)


def audit(console: Console, number: str, entries: Sequence[Change]) -> None:
    """List who did what with a number: a line for what, and one for who and why, as wide as they are."""
    console.print(Text(number, "bold"))
    if not entries:
        console.print("  nothing was done yet")
        return
    for one in entries:
        rows = "" if one.rows is None else f": {count(one.rows, 'row')}"
        until = f", until {moment(one.until_ms)}" if one.until_ms else ""
        told = f"{moment(one.at_ms)}  {one.what}{rows}{until}"
        # Over HTTP nobody need say who: then where says it already.
        who = one.where if one.where.startswith(one.by) else f"{one.by} from {one.where}" if one.where else one.by
        why = f": {one.reason}" if one.reason else ""
        # Text, not markup: a stranger wrote it.
        console.print(Text(told), soft_wrap=True)
        console.print(Text(f"{'':21}by {who or 'hand'}{why}", "dim"), soft_wrap=True)


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


def _table(names: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> Table:
    """Make a table without the columns in which nothing stands: 80 columns are few."""
    shown = [at for at in range(len(names)) if any(row[at] for row in rows)]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for at in shown:
        # An id is there to be copied: never in two parts.
        table.add_column(names[at], overflow="fold", no_wrap=names[at] == "id")
    for row in rows:
        # Text, not markup: a stranger wrote it.
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in (row[at] for at in shown)))
    return table
