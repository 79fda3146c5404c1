from hypothesis import given
from hypothesis import strategies as st

from millis.benchmark.sampling import stratified

SOME = st.lists(st.text(max_size=9) | st.tuples(st.text(max_size=5), st.text(max_size=5)), min_size=1, max_size=30)


def test_every_round_has_one_text_of_each_length_range():
    texts = ["aaaaaa", "a", "aaaa", "aa", ("aa", "aaa"), "aaa"]  # lengths 6 1 4 2 5 3
    for first, second, third in stratified(texts, rounds=20, requests=3, seed=0):
        assert (first in (1, 3), second in (5, 2), third in (4, 0)) == (True, True, True)


@given(SOME, st.integers(1, 12), st.integers(0, 99))
def test_texts_come_shortest_first_and_the_same_for_a_seed(texts, requests, seed):
    rounds = stratified(texts, 3, requests, seed)
    assert rounds == stratified(texts, 3, requests, seed)
    for positions in rounds:
        lengths = [len(texts[i]) if isinstance(texts[i], str) else sum(map(len, texts[i])) for i in positions]
        assert lengths == sorted(lengths)
        assert len(lengths) == requests


def test_every_text_is_drawn_in_the_long_run():
    assert {i for draw in stratified(["a"] * 5, 50, 2, seed=0) for i in draw} == set(range(5))
