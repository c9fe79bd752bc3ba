"""What a node has heard of a region over NATS: bounded, taken back, and asked for again where something may lack."""

from __future__ import annotations

import hashlib

from fingerpost.directory._nats_place import ASK_SECONDS_MAX, ASK_SECONDS_MIN, Heard, Place, Question
from fingerpost.directory.record import HolderRecord, encode_record
from fingerpost.directory.region import Region
from fingerpost.ids import TemplateId
from fingerpost.limits import RECORDS_READ_MAX
from fingerpost.testing.record_samples import NOW, holder_key, holder_record

NETWORK_ID = "pumps"
REGION = Region(template_id=TemplateId(hashlib.blake2s(b"pumps", digest_size=16).digest()))


def record(number: int, *, issued_at: int = NOW) -> HolderRecord:
    return holder_record(number, template_id=REGION.template_id, network_id=NETWORK_ID, issued_at=issued_at)


def tampered(*, name: bytes = b"", number: int = 0) -> bytes:
    """Return a value that starts like a record and whose signature does not hold."""
    key = bytes(holder_key(0).verify_key)
    return encode_record(record(0)).replace(key, name or key, 1)[:-8] + number.to_bytes(8, "big")


def look(place: Place, question: Question | None = None) -> tuple[HolderRecord, ...]:
    reading = place.reading(question, network_id=NETWORK_ID, now=NOW, salt=b"")
    return place.keep(reading.records(), now=NOW)


def test_what_waits_to_be_judged_is_bounded_and_keeps_room_for_holders_that_count() -> None:
    member, other = record(0), record(1)
    heard = Heard(REGION, frozenset({member.public_key}), room=10)
    forged = [tampered(number=number) for number in range(20)]
    strange = [tampered(name=number.to_bytes(32, "big")) for number in range(20)]
    assert [heard.add(value) for value in strange] == [""] * 5 + ["value-bound"] * 15
    assert heard.add(encode_record(other)) == "value-bound"
    assert heard.add(encode_record(member)) == ""
    assert heard.add(encode_record(member)) == ""  # once, however often it is said
    assert [heard.add(value) for value in forged] == [""] * 4 + ["value-bound"] * 16
    assert heard.add(b"junk") == "record-invalid"
    assert len(heard.values) == 10
    heard.drop(member.public_key)
    assert len(heard.values) == 5


def test_holders_are_asked_again_soon_then_rarely_and_at_once_after_an_interruption() -> None:
    place, time = Place(REGION, frozenset()), 100.0
    pauses = []
    for _ in range(8):
        assert place.must_ask(time=time, interruptions=0)
        place.asked(time=time, interruptions=0)
        assert not place.must_ask(time=place.ask_at - 0.1, interruptions=0)
        pauses.append(place.ask_at - time)
        time = place.ask_at
    assert pauses[:3] == [ASK_SECONDS_MIN, 2 * ASK_SECONDS_MIN, 4 * ASK_SECONDS_MIN]
    assert pauses[-2:] == [ASK_SECONDS_MAX] * 2
    place.asked(time=time, interruptions=0)
    assert place.must_ask(time=time, interruptions=1)
    assert place.must_ask(time=time, interruptions=1)  # until it was asked
    place.asked(time=time, interruptions=1)
    assert not place.must_ask(time=time, interruptions=1)
    assert place.ask_at == time + ASK_SECONDS_MIN


def test_news_that_found_no_room_is_asked_for() -> None:
    place = Place(REGION, frozenset())
    place.asked(time=100.0, interruptions=0)
    reasons = [place.take(tampered(name=number.to_bytes(32, "big"))) for number in range(RECORDS_READ_MAX + 1)]
    assert reasons == [""] * RECORDS_READ_MAX + ["value-bound"]
    assert place.must_ask(time=100.0, interruptions=0)


def test_a_holder_that_has_left_is_forgotten_unless_it_has_come_back_later() -> None:
    place = Place(REGION, frozenset())
    key = record(1).public_key
    place.take(encode_record(record(1)))
    assert look(place) == (record(1),)
    place.asked(time=100.0, interruptions=0)
    place.leave(key, NOW - 1)
    assert look(place) == (record(1),)
    assert not place.must_ask(time=100.0, interruptions=0)
    place.leave(key, NOW)
    assert look(place) == ()
    assert place.must_ask(time=100.0, interruptions=0)  # in case that it was a lie
    place.take(encode_record(record(1, issued_at=NOW + 1)))
    assert look(place) == (record(1, issued_at=NOW + 1),)


def test_a_holder_that_leaves_while_answers_are_judged_is_not_found() -> None:
    place = Place(REGION, frozenset())
    for number in (1, 2):
        place.take(encode_record(record(number)))
    reading = place.reading(None, network_id=NETWORK_ID, now=NOW, salt=b"")
    place.leave(record(1).public_key, NOW)
    assert place.keep(reading.records(), now=NOW) == (record(2),)
    place.take(encode_record(record(1)))
    assert set(look(place)) == {record(1), record(2)}


def test_a_late_answer_counts_at_the_next_look() -> None:
    place = Place(REGION, frozenset())
    question = Question(place)
    place.take(encode_record(record(1)), question)
    question.is_over = True
    assert look(place, question) == (record(1),)
    assert question.heard.values == {}  # a question is remembered longer than its answers
    place.take(encode_record(record(2)), question)
    assert set(look(place)) == {record(1), record(2)}


def test_two_looks_at_once_lose_nothing_that_either_found() -> None:
    place = Place(REGION, frozenset())
    place.take(encode_record(record(1)))
    one = place.reading(None, network_id=NETWORK_ID, now=NOW, salt=b"")
    place.take(encode_record(record(2)))
    two = place.reading(None, network_id=NETWORK_ID, now=NOW, salt=b"")
    assert set(place.keep(two.records(), now=NOW)) == {record(2)}
    assert set(place.keep(one.records(), now=NOW)) == {record(1), record(2)}
