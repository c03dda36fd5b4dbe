"""What do requests for campaigns say, and what do their answers?"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

Text = Annotated[str, Meta(max_length=1024)]
_By = Annotated[str, Meta(min_length=1, max_length=100)]
_Reason = Annotated[str, Meta(max_length=500)]
_Name = Annotated[str, Meta(max_length=100)]


class CampaignOrder(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to send to everybody in the file that comes with it.

    `number`: who sends, or its channel id. `name`: what it is called, by default the file's name; the same content with
    the same name is the same campaign: asked for again, it goes on where it broke off, and nothing is sent twice. `to`:
    the column of phone numbers; `fields`: what holds for all rows, by the names of a message (`text`, `template_id`,
    `template_values`, `media_url`, `send_at`, …), with {{name}} for values; a field that isn't here is taken from the
    column of its name. `columns`: name or field -> column; `defaults`: name -> text where a row has none. `country`:
    of numbers without + (two letters). `sheet`: of a workbook. `skip_bad`: leave out rows that can't be sent; else one
    refuses the whole. `dry_run`: show what would be sent, `preview` messages of it, and what it costs. `by`, `reason`:
    who decided, and why.
    """

    number: Text
    name: _Name = ""
    to: Text = "to"
    class_: Text = msgspec.field(name="class", default="bulk")
    fields: dict[str, Any] = {}
    columns: dict[str, Text] = {}
    defaults: dict[str, Text] = {}
    country: Text = ""
    sheet: Text = ""
    skip_bad: bool = False
    dry_run: bool = False
    preview: Annotated[int, Meta(ge=0, le=100)] = 3
    by: _By = "http"
    reason: _Reason = ""


class CampaignRequest(CampaignOrder, kw_only=True, forbid_unknown_fields=True):
    """The same with rows instead of a file: each is an object of columns. `name` must be given."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    rows: list[dict[str, str | int | float | bool | None]]


class CampaignBadCell(Struct):
    """What is wrong in one place; row 0 is the whole table."""

    row: int
    column: str
    problem: str


class CampaignDuplicate(Struct):
    """A row whose recipient an earlier row has already; it is left out."""

    row: int
    first_row: int
    to: str


class CampaignCost(Struct, kw_only=True):
    """What it costs: messages, and the seconds that they take by themselves at so many a second.

    `done_at`: when the last one will have left, behind what waits already; null when nobody knows, for `waits_for`.
    """

    messages: int
    seconds: float
    per_second: float
    done_at: str | None
    waits_for: list[str]


class CampaignFigures(Struct, kw_only=True):
    """One campaign. Times are in milliseconds since 1970.

    `state`: `loading`, `running`, `paused`, `done` or `cancelled`. `records`: rows of the file, of which `loaded` have
    been worked through (`whole`: all); `rows`: messages that they make; `suppressed`: those left out because the
    recipient wants none.
    """

    id: str
    name: str
    number: str
    file: str
    class_: str = msgspec.field(name="class")
    state: str
    records: int
    rows: int
    bad: int
    duplicates: int
    suppressed: int
    loaded: int
    whole: bool
    by: str
    where: str
    reason: str
    at_ms: int
    changed_ms: int
    recipe: dict[str, Any]


class CampaignShown(CampaignFigures, kw_only=True):
    """One campaign, and how many of its messages are in each state."""

    messages: dict[str, int]


class CampaignPage(Struct, kw_only=True):
    """Some campaigns, the newest first; `after` asks for the next page, and is empty on the last one."""

    campaigns: list[CampaignFigures]
    after: str


class CampaignAnswer(Struct, kw_only=True):
    """What was made of a request; `campaign` is null in a dry run, and `cost` is else.

    `repeated`: the campaign was whole before, and nothing was done. `bad` and `duplicates` are the first hundred.
    """

    campaign: CampaignFigures | None
    repeated: bool
    records: int
    rows: int
    by_class: dict[str, int]
    duplicates: list[CampaignDuplicate]
    suppressed: int
    bad: list[CampaignBadCell]
    bad_rows: int
    ignored_columns: list[str]
    preview: list[dict[str, Any]]
    cost: CampaignCost | None


class CampaignWish(Struct, kw_only=True, forbid_unknown_fields=True):
    """Who asks for it, and why; a cancel needs a reason."""

    by: _By = "http"
    reason: _Reason = ""
