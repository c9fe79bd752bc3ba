"""The directory that holds everything one node keeps: its keys, its templates and its store.

::

    <home>/
    ├── keys/                        only the owner may look inside (mode 0700)
    │   ├── node.key                 the identity in use (mode 0600)
    │   ├── subjects.salt            what subjects are hashed with (mode 0600)
    │   ├── consortium/<template id>.ring   what packets of a consortium are sealed with (mode 0600)
    │   ├── retired/<node id>.key    earlier identities: only they can withdraw their packets
    │   └── records/                 signed succession and revocation records, to be shown to anyone
    ├── templates/<template id>.toml
    ├── emitted/<digest>.json        how far each table was emitted, so that none counts twice
    ├── control.json                 where the running node is, and the token it obeys (mode 0600)
    └── store/
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fingerpost.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

HOME_VARIABLE = "FINGERPOST_HOME"
HOME_DEFAULT = "~/.fingerpost"


@dataclass(frozen=True, slots=True)
class Home:
    """Where one node keeps its state. Making a ``Home`` touches no file."""

    root: Path

    @property
    def keys(self) -> Path:
        """The directory of identities and records about them."""
        return self.root / "keys"

    @property
    def key_file(self) -> Path:
        """The secret key of the identity in use."""
        return self.keys / "node.key"

    @property
    def salt_file(self) -> Path:
        """What subjects are hashed with."""
        return self.keys / "subjects.salt"

    def ring_file(self, template_id: bytes) -> Path:
        """The keys of the consortium of a template."""
        return self.keys / "consortium" / f"{template_id.hex()}.ring"

    @property
    def templates(self) -> Path:
        """The directory of templates this node has used or received."""
        return self.root / "templates"

    @property
    def emitted(self) -> Path:
        """The directory of notes on the tables that were emitted."""
        return self.root / "emitted"

    @property
    def store(self) -> Path:
        """The directory of the packet store."""
        return self.root / "store"

    @property
    def control_file(self) -> Path:
        """What says where the running node of this home is."""
        return self.root / "control.json"

    def template_file(self, template_id: bytes) -> Path:
        """Where the template with this id is kept."""
        return self.templates / f"{template_id.hex()}.toml"


def locate_home(chosen: Path | None, environment: Mapping[str, str]) -> Home:
    """Return the home: ``chosen``, else $FINGERPOST_HOME, else ``~/.fingerpost``; ``~`` is expanded.

    Raises ``UsageError`` (``home-unknown``) when ``~`` cannot be resolved.
    """
    path = chosen if chosen is not None else Path(environment.get(HOME_VARIABLE) or HOME_DEFAULT)
    try:
        return Home(path.expanduser())
    except RuntimeError as error:
        raise UsageError(
            "home-unknown",
            f"cannot tell which directory {str(path)!r} is: this account has no home directory",
            hint=f"name a directory with --home DIR or ${HOME_VARIABLE}",
        ) from error
