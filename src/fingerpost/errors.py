"""Every error that fingerpost raises on purpose.

::

    FingerpostError
    ├── PacketError         bytes that are not a valid packet, or a packet that is refused
    │   └── SignatureError  a signature or a batch proof that does not hold
    ├── TemplateError       a template file that cannot be used
    ├── RecordError         a situation, action or outcome that does not fit its template
    ├── TableError          a CSV or Parquet file that cannot be read as a table
    ├── KeyFileError        an identity that cannot be read, made or used
    ├── StoreError          a store that cannot be opened, or refuses a write
    │   └── StoreFullError  no room is left; nothing of the write was kept
    ├── ReceiptError        a receipt that cannot be read, or does not verify
    ├── NetworkError        a peer that cannot be reached, or a frame that cannot be carried
    ├── ConfigError         a configuration file of a node that cannot be used
    ├── PrivacyError        a release that would break its privacy promise, or cannot show that it keeps it
    ├── DaemonError         a running node that cannot be reached, or does not do what it is asked
    └── UsageError          a call or a command line that makes no sense

Each error carries a stable ``code`` (kebab-case, listed in ``docs/reference/errors.md``) and a ``hint`` that says what
to do next. Everyday results such as an abstention or a duplicate are values, not errors.
"""

from __future__ import annotations


class FingerpostError(Exception):
    """The root of all errors of fingerpost.

    ``code`` is stable across versions and safe to match on; ``message`` and ``hint`` are for people and may change.
    """

    exit_status = 1

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


class PacketError(FingerpostError):
    """Bytes that are not a valid packet, or a packet that is refused."""

    exit_status = 3


class SignatureError(PacketError):
    """A signature or a batch proof that does not hold."""


class TemplateError(FingerpostError):
    """A template that cannot be used; ``field`` and ``line`` say where when they are known."""

    exit_status = 4

    def __init__(
        self, code: str, message: str, *, hint: str = "", field: str | None = None, line: int | None = None
    ) -> None:
        super().__init__(code, message, hint=hint)
        self.field = field
        self.line = line


class RecordError(FingerpostError):
    """A situation, action or outcome that does not fit its template; ``field`` and ``row`` (from 1) say where."""

    exit_status = 5

    def __init__(
        self, code: str, message: str, *, hint: str = "", field: str | None = None, row: int | None = None
    ) -> None:
        super().__init__(code, message, hint=hint)
        self.field = field
        self.row = row


class TableError(FingerpostError):
    """A CSV or Parquet file that cannot be read as a table."""

    exit_status = 6


class KeyFileError(FingerpostError):
    """An identity that cannot be read, made or used."""

    exit_status = 7


class StoreError(FingerpostError):
    """A store that cannot be opened, or refuses a write."""

    exit_status = 8


class StoreFullError(StoreError):
    """No room is left on the disk or in the map; nothing of the write was kept."""


class ReceiptError(FingerpostError):
    """A receipt that cannot be read, or does not verify."""

    exit_status = 9


class NetworkError(FingerpostError):
    """A peer that cannot be reached, or a frame that cannot be carried."""

    exit_status = 10


class ConfigError(FingerpostError):
    """A configuration of a node that cannot be used; ``field`` is the key, as ``table.key``, when it is known."""

    exit_status = 11

    def __init__(self, code: str, message: str, *, hint: str = "", field: str | None = None) -> None:
        super().__init__(code, message, hint=hint)
        self.field = field


class DaemonError(FingerpostError):
    """A running node that cannot be reached, or does not do what it is asked."""

    exit_status = 12


class PrivacyError(FingerpostError):
    """A release that would break its privacy promise, or cannot show that it keeps it: nothing left the node."""

    exit_status = 13


class UsageError(FingerpostError):
    """A call or a command line that makes no sense as given."""

    exit_status = 2
