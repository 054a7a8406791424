"""Real processes, killed under load: what `bench/bars` does in twenty rounds, here in three."""

from bench.crash.rounds import run_rounds


def test_after_kills_of_either_process_every_answer_is_billed_once_and_nothing_stays_held() -> None:
    report = run_rounds(3, seed=3, show=print)
    assert report.faults == []
    assert set(report.killed) == {"gateway", "serve"}
    assert report.calls["complete"] > 0
    assert report.calls["interrupted"] > 0
    assert report.billed >= report.calls["complete"]
