"""How does a Python app enqueue? `pip install headway` brings what this file needs: the client and nothing else.

    HEADWAY_REDIS_URL=redis://localhost:6379/0 python examples/python_client.py

Without a server of your own, while a worker runs: HEADWAY_REDIS_URL="$(headway url)".
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta

from headway import Client, HeadwayError, Message, MessageClass

NUMBER = "15555550100"


def main() -> None:
    client = Client(os.environ.get("HEADWAY_REDIS_URL", "redis://localhost:6379/0"))

    # One message that goes first. The id is what `headway status` asks for.
    code = client.push(NUMBER, to="12025550101", text="Your code is 4711.", class_="urgent")
    print("urgent", code, client.status(code))

    # A campaign: all rows are checked, then all are enqueued in one pipelined publish.
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    campaign = [
        Message(
            to=f"120255501{end:02}", text="The new catalogue is out.", class_=MessageClass.BULK, expires_at=tomorrow
        )
        for end in range(2, 12)
    ]
    print("bulk", len(client.push_many(NUMBER, campaign)), "messages")

    # An id of your own makes a repeat safe: the second push changes nothing.
    for _ in range(2):
        client.push(NUMBER, to="12025550112", text="Your order has left.", id="order-10483")
    print("once", client.status("order-10483"))


if __name__ == "__main__":
    try:
        main()
    except HeadwayError as error:
        sys.exit(f"{error}")
