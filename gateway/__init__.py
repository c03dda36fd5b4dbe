"""The HTTP process: pushes come in from apps, webhooks from providers, and people look and change.

Nothing here sends. What it accepts is on a lane of the server before its answer leaves.
"""
