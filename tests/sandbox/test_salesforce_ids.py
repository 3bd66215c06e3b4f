"""Record ids of the Salesforce simulator."""

import pytest

from troth_sandbox.salesforce.ids import IdSource, long_id


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("001D000000IRFma", "001D000000IRFmaIAH"),
        ("003q000000KvQ1t", "003q000000KvQ1tAAF"),
        ("003q000000KwYFa", "003q000000KwYFaAAN"),
        ("001Da00000xnAiy", "001Da00000xnAiyIAE"),
    ],
)
def test_a_short_id_gets_the_checksum_of_recorded_ids(short: str, long: str) -> None:
    assert long_id(short) == long


def test_a_long_id_stays_as_it_is() -> None:
    assert long_id("003q000000KvQ1tAAF") == "003q000000KvQ1tAAF"


def test_new_ids_are_distinct_and_the_same_in_every_run() -> None:
    first, second = IdSource(), IdSource()
    ids = [first.next("006") for _ in range(5_000)]
    assert len(set(ids)) == 5_000
    assert ids[:3] == [second.next("006") for _ in range(3)]
    assert all(len(each) == 18 and each.startswith("006") for each in ids)
