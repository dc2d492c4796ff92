"""``python -m pharox_redis.benchmark``: the same as the command ``pharox-redis bench``."""

import sys

from pharox_redis.cli.app import main

# Processes that a run starts import this module, too.
if __name__ == "__main__":
    sys.argv.insert(1, "bench")
    main()
