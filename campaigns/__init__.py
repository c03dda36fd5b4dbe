"""What does one file, or one list of rows, send to many?

Tables are read, recipients normalised, texts filled in, all of it checked before anything is enqueued. A campaign's
rows have ids of their own, so that one which broke off goes on and no row is enqueued twice.
"""
