"""What several processes of the application share through Redis, each part with this process' memory behind it.

Only processes that share something load the client of Redis, which takes a while.
"""


class RedisUnavailable(Exception):
    """Redis did not answer; who asked goes on with what this process knows."""
