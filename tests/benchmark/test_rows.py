"""A figure against its budget."""

import pytest

from pharox_redis.benchmark.rows import Budget, Limit, Row, Verdict

AT_LEAST, AT_MOST = Budget(Limit.AT_LEAST, 0.4), Budget(Limit.AT_MOST, 0.0)


@pytest.mark.parametrize(
    ("figure", "budget", "verdict"),
    [
        (0.4, AT_LEAST, Verdict.PASS),
        (0.39, AT_LEAST, Verdict.FAIL),
        (0.0, AT_MOST, Verdict.PASS),
        (1.0, AT_MOST, Verdict.FAIL),
        (None, AT_MOST, Verdict.NOT_RUN),
        (None, None, Verdict.NOT_RUN),
        (7.0, None, Verdict.NO_BUDGET),
    ],
)
def test_verdicts(figure: float | None, budget: Budget | None, verdict: Verdict) -> None:
    assert Row("s", "w", figure, "x", budget).verdict is verdict
