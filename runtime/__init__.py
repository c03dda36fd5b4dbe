"""What does a process need before it can work?

Settings, a clock, connections to the server, the embedded server and the log. Importing this room opens no connection.
"""
