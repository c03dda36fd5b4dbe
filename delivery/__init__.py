"""What became of it?

States and their transitions, the record of a message, and the settle that writes both.
"""
