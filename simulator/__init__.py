"""What does a provider see of us? A provider in software: it talks to the other rooms over the wire only.

`python -m simulator` is a whole WhatsApp number with webhooks, `python -m simulator.sink` only takes and writes down.
"""
