"""What goes first?

The class table, lanes as Celery knows them, and the route onto one.
"""
