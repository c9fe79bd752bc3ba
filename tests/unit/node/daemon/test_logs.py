"""Log lines are JSON in a file and text on a terminal, and an exception's message is never among them."""

from __future__ import annotations

import io
import json
import logging

from fingerpost.node.daemon.logs import log_event, logging_to

LOG = logging.getLogger("fingerpost.daemon")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def fail(value: str) -> None:
    raise ValueError(value)


def log_everything() -> None:
    LOG.debug("too quiet")
    log_event(LOG, "ready", packets=5, home="päth\x1b[31m", message="mine")
    LOG.warning("refused %s", "x\ny")
    try:
        fail("a secret")
    except ValueError as error:
        LOG.error("a bug", exc_info=error)
    logging.getLogger("elsewhere").info("not ours")
    logging.getLogger("elsewhere").warning("theirs")


def test_in_a_file_each_line_is_one_object() -> None:
    stream = io.StringIO()
    with logging_to(stream, level="info"):
        log_everything()
    LOG.error("after the block")
    ready, refused, bug, theirs = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (ready["message"], ready["packets"], ready["home"]) == ("ready", 5, "päth\x1b[31m")
    assert (ready["level"], ready["logger"], ready["time"][-1]) == ("info", "fingerpost.daemon", "Z")
    assert refused["message"] == "refused x\ny"
    assert bug["exception"] == "ValueError"
    assert bug["trace"][0].endswith(" fail")
    assert theirs["message"] == "theirs"
    assert "secret" not in stream.getvalue()


def test_on_a_terminal_each_line_is_text_that_cannot_steer_it() -> None:
    stream = Terminal()
    with logging_to(stream, level="info"):
        log_everything()
    LOG.error("after the block")
    ready, refused, bug, _ = stream.getvalue().splitlines()
    assert ready[8:] == " info    ready packets=5 home=päth\\x1b[31m message=mine"
    assert refused[8:] == " warning refused x\\ny"
    assert "ValueError at " in bug
    assert "secret" not in stream.getvalue()


def test_the_level_is_that_of_the_configuration() -> None:
    stream = io.StringIO()
    with logging_to(stream, level="debug"):
        LOG.debug("now heard")
    assert not LOG.isEnabledFor(logging.DEBUG)
    assert json.loads(stream.getvalue())["message"] == "now heard"
