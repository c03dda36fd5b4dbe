"""Who carries a message: one module for each provider, and what became of each row as values.

Importing this room opens no connection. `catalogue.make` is the way to a provider.
"""

from __future__ import annotations

from providers.base import Provider, Row
from providers.outcomes import Outcome, Verdict

__all__ = ["Outcome", "Provider", "Row", "Verdict"]
