"""The Celery process: how do leased messages get from their lanes to the provider?

The only room that knows Celery. `celery -A worker.app worker` starts it.
"""
