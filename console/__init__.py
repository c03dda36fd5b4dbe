"""What does a person at a terminal ask of Headway?

The `headway` command: start processes, push a file, look at messages and numbers, change what holds while it runs.
It reads the environment at its door and speaks plain sentences; `--json` speaks to programs.
"""
