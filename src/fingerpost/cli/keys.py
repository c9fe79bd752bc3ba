"""``fingerpost keys``: the identity of this node."""

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fingerpost.cli._notes import noted
from fingerpost.cli._options import HomeOption, JsonOption, home_of
from fingerpost.cli._output import Output
from fingerpost.cli._words import date_text, short_id, today
from fingerpost.errors import KeyFileError, SignatureError, UsageError
from fingerpost.system import SystemEntropy

if TYPE_CHECKING:
    from fingerpost.node.home import Home
    from fingerpost.node.identity import Identity, Revocation, Succession

_IDENTITY_KEYS = {
    "node_id": "64 hex digits: how others know this node (BLAKE2s-256 of the public key)",
    "public_key": "64 hex digits: the Ed25519 public key in every packet of this node",
    "created": "the day the key was made (YYYY-MM-DD)",
    "key_file": "path of the secret key",
}


class Reason(StrEnum):
    """Why a key is revoked."""

    UNSPECIFIED = "unspecified"
    COMPROMISED = "compromised"
    RETIRED = "retired"


@noted(json_keys=_IDENTITY_KEYS, errors=(KeyFileError,), examples=("fingerpost keys new",))
def new(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """Make the identity of this node: an Ed25519 key pair that signs every packet it emits.

    The secret key is written to the home, readable by you alone. An existing key is never overwritten.
    """
    from fingerpost.node.identity import create_identity

    out = Output(as_json=json)
    place = home_of(home)
    identity = create_identity(place, entropy=SystemEntropy(), day=today())
    if json:
        out.document(_identity_document(identity, place))
        return
    out.title("New identity")
    _print_identity(out, identity, place)
    out.line()
    out.line("Keep a backup of the key file in a safe place: only this key can withdraw what it signs.")
    out.next_step("fingerpost template infer TABLE.csv --outcome COLUMN -o template.toml")


@noted(
    json_keys={
        **{key: f"{meaning}; null when revoked" for key, meaning in _IDENTITY_KEYS.items()},
        "status": "in-use or revoked",
        "records": "signed statements about identities of this home, oldest first: kind (succession or revocation), "
        "day, node_id, successor (succession) or reason (revocation)",
    },
    errors=(KeyFileError, SignatureError),
    examples=("fingerpost keys show", "fingerpost keys show --json | jq -r .node_id"),
)
def show(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """Show the identity of this node and the records about earlier ones. Never shows the secret key."""
    from fingerpost.node.identity import identity_records, load_identity

    out = Output(as_json=json)
    place = home_of(home)
    identity: Identity | None = None
    try:
        identity = load_identity(place)
    except KeyFileError as error:
        if error.code != "key-revoked":
            raise
    records = identity_records(place)
    if json:
        document = _identity_document(identity, place)
        document["status"] = "in-use" if identity else "revoked"
        document["records"] = [record_document(record) for record in records]
        out.document(document)
        return
    out.title("Identity of this node")
    if identity:
        _print_identity(out, identity, place)
    else:
        out.line("  revoked: this home has no identity in use")
        out.next_step("fingerpost keys new")
    if records:
        out.line()
        out.title("Records")
        for record in records:
            out.line(f"  {record_line(record)}")


@noted(
    json_keys={
        **_IDENTITY_KEYS,
        "previous_node_id": "64 hex digits: the identity until now",
        "record_file": "path of the signed succession record, for whoever admitted the old identity",
    },
    errors=(KeyFileError, SignatureError),
    examples=("fingerpost keys rotate",),
)
def rotate(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """Replace the identity by a new one; the old and the new key sign that one follows the other.

    The old key is kept under keys/retired: only it can withdraw the packets it signed.
    """
    from fingerpost.node.identity import rotate_identity

    out = Output(as_json=json)
    place = home_of(home)
    rotation = rotate_identity(place, entropy=SystemEntropy(), day=today())
    if json:
        document = _identity_document(rotation.identity, place)
        document["previous_node_id"] = rotation.succession.old_node_id.hex()
        document["record_file"] = str(rotation.record_file)
        out.document(document)
        return
    out.title("New identity, vouched for by the old one")
    _print_identity(
        out,
        rotation.identity,
        place,
        ("previous", rotation.succession.old_node_id.hex()),
        ("record", rotation.record_file),
    )
    out.line()
    out.line("Send the record to whoever admitted the old identity; anyone can check it with 'fingerpost verify'.")


@noted(
    json_keys={
        "node_id": "64 hex digits: the revoked identity",
        "day": "the day from which it is revoked (YYYY-MM-DD)",
        "reason": "unspecified, compromised or retired",
        "record_file": "path of the signed revocation record, for everyone who trusts the key",
    },
    errors=(KeyFileError, SignatureError, UsageError),
    examples=("fingerpost keys revoke --reason compromised",),
)
def revoke(
    *,
    reason: Annotated[
        Reason,
        typer.Option(
            "--reason",
            help="compromised: somebody else may have the key. retired: it is no longer used, its packets stand.",
        ),
    ] = Reason.UNSPECIFIED,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether you are sure.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Sign that the identity of this node is not to be trusted from today on. This cannot be undone."""
    from fingerpost.node.identity import RevocationReason, load_identity, revoke_identity

    out = Output(as_json=json)
    place = home_of(home)
    identity = load_identity(place)
    if not yes:
        _confirm(identity, as_json=json)
    revocation, record_file = revoke_identity(place, day=today(), reason=RevocationReason[reason.name])
    if json:
        out.document(
            {
                "node_id": revocation.node_id.hex(),
                "day": date_text(revocation.day),
                "reason": reason.value,
                "record_file": str(record_file),
            }
        )
        return
    out.title("Revoked")
    out.facts(
        [
            ("node id", revocation.node_id.hex()),
            ("since", date_text(revocation.day)),
            ("reason", reason.value),
            ("record", record_file),
        ]
    )
    out.line()
    out.line("Send the record to everyone who trusts this key; anyone can check it with 'fingerpost verify'.")
    out.next_step("fingerpost keys new")


def _confirm(identity: "Identity", *, as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        raise UsageError(
            "confirmation-needed", "revoking an identity cannot be undone", hint="say --yes when you are sure"
        )
    if not typer.confirm(f"Revoke {identity.node_id.hex()} for ever?", err=True):
        raise UsageError("confirmation-needed", "nothing was revoked")


def _print_identity(out: Output, identity: "Identity", place: "Home", *more: tuple[str, object]) -> None:
    out.facts(
        [
            ("node id", identity.node_id.hex()),
            ("public key", identity.public_key.hex()),
            ("made", date_text(identity.created_day)),
            ("secret key", place.key_file),
            *more,
        ]
    )


def _identity_document(identity: "Identity | None", place: "Home") -> dict[str, Any]:
    return {
        "node_id": identity.node_id.hex() if identity else None,
        "public_key": identity.public_key.hex() if identity else None,
        "created": date_text(identity.created_day) if identity else None,
        "key_file": str(place.key_file) if identity else None,
    }


def record_document(record: "Succession | Revocation") -> dict[str, Any]:
    """Return a record about an identity as JSON values."""
    from fingerpost.node.identity import Succession

    if isinstance(record, Succession):
        return {
            "kind": "succession",
            "day": date_text(record.day),
            "node_id": record.old_node_id.hex(),
            "successor": record.new_node_id.hex(),
        }
    return {
        "kind": "revocation",
        "day": date_text(record.day),
        "node_id": record.node_id.hex(),
        "reason": record.reason.name.lower(),
    }


def record_line(record: "Succession | Revocation") -> str:
    """Return a record about an identity in words."""
    document = record_document(record)
    subject = f"{document['day']}  {short_id(document['node_id'])}"
    if document["kind"] == "succession":
        return f"{subject} was followed by {short_id(document['successor'])}"
    return f"{subject} was revoked ({document['reason']})"
