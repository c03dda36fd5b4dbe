"""What does an app say to Headway, and in which words?

The only package that ships in the wheel. It imports no other room and needs nothing but a Redis client.
"""

from headway.classes import MessageClass
from headway.client import Client
from headway.errors import BrokerUnavailable, HeadwayError, InvalidMessage, NumberDrained
from headway.message import Message

__all__ = [
    "BrokerUnavailable", "Client", "HeadwayError", "InvalidMessage", "Message", "MessageClass", "NumberDrained",
]  # fmt: skip
