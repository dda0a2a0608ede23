"""A guess gives nothing away before it is answered, and says why to whatever is answered."""

import pytest

from kvmviz import Esr, KvmvizError
from kvmviz.learn.fold import Fold
from kvmviz.learn.question import QUESTIONS, Question
from kvmviz.widgets.guess import Guess

OPTIONS = {"three": "one too many.", "two": "one and one."}


def guess() -> Guess:
    return Guess(Question("1 + 1?", OPTIONS, "two"), Esr(0xF2001234))


def seen(shown: Guess) -> str:
    """All that its live box holds now, but for style sheets and scripts."""
    held = [str(getattr(child, "value", None) or "") for child in shown.box.children]
    return "".join(words for words in held if "<style" not in words)


class TestGuess:
    def test_nothing_is_given_away_before_an_answer(self) -> None:
        asked = guess()
        assert repr(asked) == "1 + 1?\n  ( ) three\n  ( ) two"
        assert "0x00000000f2001234" not in seen(asked)
        assert not any(said in seen(asked) for said in OPTIONS.values())

    @pytest.mark.parametrize(
        ("option", "mark"), [("two", "✓ right: one and one."), ("three", "✗ not so: one too many.")]
    )
    def test_right_and_wrong_are_both_explained(self, option: str, mark: str) -> None:
        asked = guess()
        asked.answer = option
        assert mark in repr(asked)
        assert mark in seen(asked)
        assert repr(Esr(0xF2001234)) in repr(asked)
        assert "0x00000000f2001234" in seen(asked)

    def test_it_can_be_asked_again(self) -> None:
        asked = guess()
        before = seen(asked), repr(asked)
        asked.answer = "two"
        assert (seen(asked), repr(asked)) != before
        asked.answer = None
        assert repr(asked) == before[1]
        assert "one and one" not in seen(asked)

    def test_without_a_kernel_the_answer_is_folded(self) -> None:
        data = guess()._repr_mimebundle_()
        before, after = data["text/html"].split("<details>")
        assert data["text/plain"] == repr(guess())
        assert not any(said in before for said in OPTIONS.values())
        assert all(said in after for said in OPTIONS.values())
        assert "0x00000000f2001234" in after

    @pytest.mark.parametrize(
        ("options", "right", "says"),
        [(OPTIONS, "four", "four"), ({}, "two", "legal are none")],
    )
    def test_a_question_without_a_right_option_is_refused(
        self, options: dict[str, str], right: str, says: str
    ) -> None:
        with pytest.raises(KvmvizError, match=says):
            Question("?", options, right)

    def test_an_answer_is_one_of_the_options(self) -> None:
        asked = guess()
        with pytest.raises(KvmvizError, match="three"):
            asked.answer = "four"
        assert asked.answer is None

    def test_a_question_is_one_of_the_table_or_ones_own(self) -> None:
        with pytest.raises(KvmvizError, match="unknown question None; legal are "):
            Guess(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_of_the_notebooks_gives_nothing_away(name: str) -> None:
    asked, question = Guess(name), QUESTIONS[name]
    assert question.words.endswith("?")
    assert len(question.options) >= 3
    assert not any(said in repr(asked) + seen(asked) for said in question.options.values())
    for option, said in question.options.items():
        asked.answer = option
        assert said in repr(asked)


def test_what_is_folded_is_all_there_as_text_and_closed_as_html() -> None:
    fold = Fold("Two things", Esr(0xF2001234), "a & b", {"one": 1})
    assert repr(fold) == f"Two things\n{Esr(0xF2001234)!r}\na & b\n{{'one': 1}}"
    before, after = fold._repr_html_().split("</summary>")
    assert before == "<details><summary>Two things"
    assert "a &amp; b" in after


def test_neither_length_nor_place_gives_the_right_option_away() -> None:
    longest = shortest = share = 0.0
    places: dict[int, list[int]] = {}
    for question in QUESTIONS.values():
        others = [len(option) for option in question.options if option != question.right]
        assert len(question.right) <= 1.3 * max(others), question.words
        longest += len(question.right) > max(others)
        shortest += len(question.right) < min(others)
        share += 1 / len(question.options)
        count = len(question.options)
        places.setdefault(count, []).append(list(question.options).index(question.right))
    assert max(longest, shortest) <= share
    for count, found in places.items():
        assert max(map(found.count, range(count))) <= 0.5 * len(found)
        assert min(map(found.count, range(count))) > 0
