"""Does Headway keep what it promises? A package, so that `tests.harness` is ours and nobody else's."""
