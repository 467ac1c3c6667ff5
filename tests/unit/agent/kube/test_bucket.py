from hypothesis import given
from hypothesis import strategies as st

from tulle.agent.kube.bucket import Bucket


def test_so_many_at_once_and_then_so_many_a_second() -> None:
    bucket = Bucket(per_s=2, burst=3)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait_s(100.0) == 0.5
    assert not bucket.take(100.4)
    assert bucket.take(100.5)
    assert not bucket.take(100.5)


def test_rest_gives_no_more_than_a_burst() -> None:
    bucket = Bucket(per_s=10, burst=2)
    bucket.take(0.0)
    assert sum(bucket.take(1000.0) for _ in range(10)) == 2


@given(st.lists(st.floats(0, 10), max_size=50))
def test_in_no_time_more_than_the_rate(gaps: list[float]) -> None:
    bucket, now, taken = Bucket(per_s=1, burst=4), 0.0, 0
    for gap in gaps:
        now += gap
        taken += bucket.take(now)
        assert taken <= 4 + now + 1e-6
        assert bucket.wait_s(now - 5) >= bucket.wait_s(now)
