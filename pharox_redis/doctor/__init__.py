"""What is wrong with a server or with the data on it, in words, and what to do about it.

``server_checks.py`` asks the server, ``data_checks.py`` holds the keys of every pool against each
other, ``kinds.py`` has the words for all that can be found, ``findings.py`` counts what was, and
``report.py`` shows it.
"""

from pharox_redis.doctor.data_checks import DataChecks
from pharox_redis.doctor.findings import Diagnosis, Finding, Level
from pharox_redis.doctor.kinds import KINDS
from pharox_redis.doctor.server_checks import ServerChecks

__all__ = ["KINDS", "DataChecks", "Diagnosis", "Finding", "Level", "ServerChecks"]
