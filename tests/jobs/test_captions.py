"""The same words in gateway, worker and training."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.captions import END, Vocabulary, tokenize, word_spans

VOCABULARY = Vocabulary([END, "a", "bird", "red", "crown", "with"])


def test_known_words_keep_their_order() -> None:
    encoded = VOCABULARY.encode("A bird with a RED crown.")
    assert encoded.words == ("a", "bird", "with", "a", "red", "crown")
    assert encoded.ids == (1, 2, 5, 1, 3, 4)
    assert encoded.unknown == ()


def test_unknown_words_are_named_once() -> None:
    encoded = VOCABULARY.encode("a zorgly, zorgly bird in Köln 🐦 小鸟")
    assert encoded.words == ("a", "bird")
    assert encoded.unknown[0] == "zorgly"
    assert {"🐦", "小鸟"} <= set(encoded.unknown)
    assert len(encoded.unknown) == len(set(encoded.unknown))


def test_long_captions_lose_their_end() -> None:
    encoded = VOCABULARY.encode("red " * 30, max_words=18)
    assert len(encoded.ids) == 18
    assert encoded.truncated == 12
    assert VOCABULARY.encode("red " * 30, max_words=18) == encoded


def test_padding_is_never_a_word() -> None:
    assert 0 not in VOCABULARY.encode("<end> a <end>").ids


def test_tokenizers_differ_where_the_methods_do() -> None:
    assert tokenize("a black-and-white bird") == ["a", "black", "and", "white", "bird"]
    assert tokenize("a black-and-white bird", "treebank") == ["a", "black-and-white", "bird"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It cannot fly, gotta swim", "it can not fly got ta swim"),
        ("red--white wings -- and a tail", "red white wings and a tail"),
        ("a crown w/ spots and/or w/o stripes", "a crown w/ spots and/or w/o stripes"),
        ("doesn't, can't, won't.", "does n't ca n't wo n't"),
        ("the birds' and the bird's bills aren't", "the birds and the bird 's bills are n't"),
        ("o'clock is one word, 'quoted' none", "o'clock is one word quoted none"),
        ("3,000 feathers: 2.5 inches at 3:30", "3,000 feathers 2.5 inches at 3:30"),
        (
            "wings... red, white,and blue. Big (very) bird!",
            "wings red white and blue big very bird",
        ),
        ('"long" beak—short tail; #1 of 50%', "long beak short tail 1 of 50"),
    ],
)
def test_treebank_words_are_those_of_nltk(text: str, words: str) -> None:
    assert tokenize(text, "treebank") == words.split()


def test_a_vocabulary_starts_with_padding() -> None:
    with pytest.raises(ValueError, match="padding"):
        Vocabulary(["bird"])


@given(st.text(max_size=200))
def test_any_text_is_encoded(text: str) -> None:
    encoded = VOCABULARY.encode(text)
    assert len(encoded.ids) == len(encoded.words) <= 18
    assert all(1 <= k < len(VOCABULARY) for k in encoded.ids)


def test_words_know_their_places() -> None:
    text = "Köln's zorgly RED 小鸟, a bird’s crown"
    read = VOCABULARY.read(text)
    assert [(w.word, text[w.start : w.end]) for w in read] == [
        ("kln", "Köln"),
        ("s", "s"),
        ("zorgly", "zorgly"),
        ("red", "RED"),
        ("小鸟,", "小鸟,"),
        ("a", "a"),
        ("bird", "bird"),
        ("s", "s"),
        ("crown", "crown"),
    ]
    assert [w.word for w in read if w.known] == ["red", "a", "bird", "crown"]
    assert [w.column for w in read if w.known] == [0, 1, 2, 3]
    assert all(w.column is None for w in read if not w.known)


def test_words_after_the_longest_caption_have_no_column() -> None:
    read = VOCABULARY.read("a red bird with a crown", max_words=2)
    assert [w.column for w in read] == [0, 1, None, None, None, None]
    assert all(w.known for w in read)


def test_places_count_the_letters_of_the_text_itself() -> None:
    text = "İİ red"  # both are two letters in lower case
    assert [text[start:end] for _, start, end in word_spans(text)] == ["İ", "İ", "red"]


def test_treebank_words_know_their_places() -> None:
    text = "The bird's red. A black-and-white crown!"
    found = [text[start:end] for _, start, end in word_spans(text, "treebank")]
    assert found == ["The", "bird", "'s", "red", "A", "black-and-white", "crown"]


@given(st.text(max_size=80), st.sampled_from(["regexp", "treebank"]))
def test_every_place_holds_its_word(text: str, tokenizer: str) -> None:
    before = 0
    for word, start, stop in word_spans(text, tokenizer):
        assert before <= start < stop <= len(text)
        read = unicodedata.normalize("NFKC", text[start:stop]).lower()
        for apostrophe in "\u2019\u2018\u02bc":
            read = read.replace(apostrophe, "'")
        assert word in read.encode("ascii", "ignore").decode()
        before = start


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("a \ufb02u\ufb00y bird", "a fluffy bird"),
        ("the yel\u00adlow bel\u200bly", "the yellow belly"),
        ("\ufeffa red\u2060dish crown\u200e", "a reddish crown"),
        ("\uff41 \uff52\uff45\uff44 \uff42\uff49\uff52\uff44", "a red bird"),
        ("a \U0001d41bird", "a bird"),
        ("wings\u00a0and\u3000beak", "wings and beak"),
        ("bird\u2019s, bird\u02bcs", "bird's, bird's"),
        ("\u2460 bird \u2122", "1 bird tm"),
    ],
)
@pytest.mark.parametrize("tokenizer", ["regexp", "treebank"])
def test_characters_are_read_as_what_they_stand_for(
    written: str, plain: str, tokenizer: str
) -> None:
    assert tokenize(written, tokenizer) == tokenize(plain, tokenizer)


def test_unknown_words_are_told_as_they_were_written() -> None:
    encoded = VOCABULARY.encode("a Zorgly caf\u00e9 of wid\u00adgets, \uff30\uff33, zorgly, \u00ad")
    assert encoded.unknown == ("Zorgly", "caf\u00e9", "of", "widgets", "\uff30\uff33")
    assert encoded.words == ("a",)


def test_a_word_in_wide_letters_is_no_foreign_word() -> None:
    encoded = VOCABULARY.encode("\uff42\uff49\uff52\uff44")
    assert encoded.words == ("bird",)
    assert encoded.unknown == ()
