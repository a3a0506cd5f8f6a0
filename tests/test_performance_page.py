"""docs/performance.md shows what was recorded, and nothing else."""

from benchmarks import page


def test_the_page_shows_the_recorded_numbers() -> None:
    text = page.PAGE.read_text()
    assert page.rendered(text) == text, "write it anew: python -m benchmarks.page"


def test_a_goal_is_shown_with_its_limits() -> None:
    recorded = {
        "machine": {"cpu": "CPU", "cores": 2, "gpu": ""},
        "versions": {"torch": "2", "python": "3"},
        "commit": "abc",
        "date": "2026-11-21T00:00:00",
        "goals": [
            {"what": "speed", "value": 1.234567, "at_least": 1, "aim": 2, "met": "yes"},
            {"what": "bytes", "value": 3, "below": 200, "aim": 100, "met": "aim"},
        ],
    }
    assert page.goals_table(recorded).splitlines()[-2:] == [
        "| speed | 1.23 | 1 | 2 | yes |",
        "| bytes | 3 | at most 200 | 100 | aim |",
    ]
