"""May it go now?

The meter, the lease and its begin, and what a person set while running. Every answer is one atomic script.
"""
