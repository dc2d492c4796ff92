"""``python -m pharox_redis``: the same as the command ``pharox-redis``."""

from pharox_redis.cli.app import main

if __name__ == "__main__":
    main()
