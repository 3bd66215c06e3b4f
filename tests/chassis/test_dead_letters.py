"""What cannot be used is kept with its reason; too much of it stops the reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth_chassis.dead_letters import LONGEST_HEADER, LetterLimit, dead_letter
from troth_chassis.errors import ConfigurationError
from troth_contracts.codec import OutRecord


def letter(**changes: str) -> OutRecord:
    given_values = {"reason": "not JSON", "source": "crm.opportunities", "key": "o:1", "position": "t/0@7"}
    return dead_letter("risk-engine", value=b"\xff original", **{**given_values, **changes})


class TestLetter:
    def test_keeps_the_bytes_as_they_came_and_says_why_and_from_where(self) -> None:
        found = letter()
        assert (found.topic, found.key, found.value) == ("risk-engine.dead-letters", "o:1", b"\xff original")
        headers = dict(found.headers)
        assert headers["reason"] == b"not JSON"
        assert headers["source"] == b"crm.opportunities"
        assert headers["position"] == b"t/0@7"

    def test_is_a_cloud_event_that_does_not_claim_to_be_json(self) -> None:
        headers = dict(letter().headers)
        assert headers["ce_specversion"] == b"1.0"
        assert headers["ce_type"] == b"troth.dead-letter.v1"
        assert headers["ce_source"] == b"risk-engine"
        assert headers["content-type"] == b"application/octet-stream"

    def test_of_the_same_record_always_has_the_same_id(self) -> None:
        """After a crash between letter and offset the record is buried again."""
        assert dict(letter().headers)["ce_id"] == dict(letter(reason="said otherwise").headers)["ce_id"]
        assert dict(letter().headers)["ce_id"] != dict(letter(position="t/0@8").headers)["ce_id"]

    def test_of_a_deletion_has_no_value(self) -> None:
        assert dead_letter("crm-sync", reason="r", source="s", key="k", value=None).value is None

    @given(st.text(max_size=50) | st.just("\ud800 lone surrogate") | st.just("long " * 1_000))
    def test_can_be_written_whatever_the_reason_says(self, reason: str) -> None:
        headers = dict(letter(reason=reason).headers)
        assert len(headers["reason"].decode()) <= LONGEST_HEADER


class TestLimit:
    def test_now_and_then_one_is_normal(self) -> None:
        limit = LetterLimit()
        for _ in range(100):
            limit.note(good=99, dead=1)

    def test_a_bad_batch_after_many_good_ones_is_normal(self) -> None:
        limit = LetterLimit(window=1_000, share=0.5, at_least=100)
        limit.note(good=1_000, dead=0)
        limit.note(good=0, dead=500)

    def test_a_bad_start_with_few_records_is_no_reason_to_stop(self) -> None:
        LetterLimit(at_least=100).note(good=0, dead=99)

    def test_most_of_a_topic_unusable_stops_the_reader_with_one_sentence(self) -> None:
        limit = LetterLimit(window=1_000, share=0.5, at_least=100)
        limit.note(good=400, dead=399)
        with pytest.raises(ConfigurationError, match="501 of the last 1000 records were unusable"):
            limit.note(good=99, dead=102)

    def test_what_fell_out_of_the_window_is_forgotten(self) -> None:
        limit = LetterLimit(window=200, share=0.5, at_least=50)
        limit.note(good=101, dead=99)
        limit.note(good=200, dead=0)
        limit.note(good=0, dead=100)
