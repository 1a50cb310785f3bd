"""The exercise form: what a reader sees for an empty blank, a wrong answer, a crash and a right answer."""
import pytest

from nde_lab.exercises import NotYet, exercise, require


@pytest.fixture
def doubling():
    @exercise(hints=("What happens to 3?", "Add the number to itself.", "Return x + x."))
    def double(answer):
        """Twice the number."""
        for x in (0.0, 3.0, -1.5):
            require(answer(x) == x + x, f"{x:g} became {answer(x):g}.")
        return "every number doubles."
    return double


def test_hints_go_from_general_to_specific_and_the_last_one_stays(doubling):
    seen = [doubling(lambda x: x) for _ in range(5)]
    assert [r.hint for r in seen] == [doubling.hints[i] for i in (0, 1, 2, 2, 2)]
    assert [r.attempt for r in seen] == [1, 2, 3, 4, 5]
    assert "Run the check again" in repr(seen[0]) and "Run the check again" not in repr(seen[2])


def test_a_pass_says_what_was_checked_and_starts_the_hints_anew(doubling):
    doubling(lambda x: 0.0)
    passed = doubling(lambda x: 2 * x)
    assert passed and repr(passed) == "Passed: every number doubles."
    assert doubling(lambda x: 0.0).hint == doubling.hints[0]


@pytest.mark.parametrize("blank", [None, ..., lambda x: None, lambda x: ..., (1.0, None)],
                         ids=["None", "dots", "returns None", "returns dots", "tuple with None"])
def test_an_empty_blank_gets_the_first_hint_and_costs_no_attempt(doubling, blank):
    for _ in range(3):
        result = doubling(blank)
        assert not result
        assert repr(result) == "Not started: the blank is still empty.\nHint: What happens to 3?"
    assert doubling(lambda x: x).attempt == 1


def test_a_wrong_answer_is_told_what_was_measured(doubling):
    assert "Not yet (attempt 1): 3 became 3." in repr(doubling(lambda x: x if x > 0 else 2 * x))


def test_a_crash_in_the_answer_is_reported_not_raised(doubling):
    result = doubling(lambda x: 1 / 0)
    assert not result and "your code stopped with ZeroDivisionError: division by zero" in result.says
    assert "TypeError" in doubling(lambda: 1.0).says
    assert "TypeError" in doubling(2.0).says


def test_html_escapes_what_the_answer_says(doubling):
    def answer(x):
        raise RuntimeError("<script>")
    text = doubling(answer)._repr_html_()
    assert "&lt;script&gt;" in text and "<script>" not in text and 'role="status"' in text


def test_exercises_count_apart_and_keep_their_docstring(doubling):
    @exercise(hints=("one", "two"))
    def other(answer):
        require(answer > 0, "it is negative.")
        return "positive."
    doubling(lambda x: x)
    assert other(-1).hint == "one" and doubling(lambda x: x).hint == doubling.hints[1]
    assert doubling.__doc__ == "Twice the number." and doubling.name == "double"


@pytest.mark.parametrize("hints", [(), ("only one",), "a sentence"])
def test_fewer_than_two_hints_are_refused(hints):
    with pytest.raises(ValueError, match="at least two hints, from general to specific"):
        exercise(hints=hints)


def test_a_grader_gets_an_error_with_the_readers_words_and_no_traceback(doubling):
    passed = doubling(lambda x: 2 * x)
    assert passed.require() is passed
    with pytest.raises(NotYet) as stopped:
        doubling(lambda x: x).require()
    assert stopped.value._render_traceback_() == ["Not yet (attempt 1): 3 became 3.",
                                                  "Hint: What happens to 3? Run the check again for a plainer one."]
