"""What does a provider see of us? A provider in software: it talks to the other rooms over the wire only."""
