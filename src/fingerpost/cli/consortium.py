"""``fingerpost consortium``: the keys that the members of a consortium share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fingerpost.cli._notes import noted
from fingerpost.cli._options import HomeOption, JsonOption, TemplateOption, home_of
from fingerpost.cli._output import Column, Output
from fingerpost.cli._templates import chosen_template, keep_template
from fingerpost.cli._words import count_text, date_text, short_id, today
from fingerpost.errors import KeyFileError, SignatureError, TemplateError, UsageError
from fingerpost.system import SystemEntropy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fingerpost.ids import PublicKey
    from fingerpost.node.consortium import Consortium
    from fingerpost.node.home import Home
    from fingerpost.node.identity import Identity
    from fingerpost.template import Template

_JSON_KEYS = {
    "template": "name of the template that the consortium shares",
    "template_id": "32 hex digits",
    "keeper": "64 hex digits: the public key of the member who gives out keys",
    "members": "public keys of all members, 64 hex digits each",
    "keys": "number, first_day, last_day (the last one on which it seals; null while it is in use) and dies (the day "
    "from which it opens nothing and is erased; null while it is in use) of each key; never the key itself",
    "file": "where the keys for members were written; null where none were",
}
_ERRORS = (KeyFileError, SignatureError, TemplateError, UsageError)

MembersArgument = Annotated[
    list[str], typer.Argument(metavar="PUBLIC_KEY…", help="As 'fingerpost keys show' prints it at that node.")
]
OutputOption = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Write the keys for the members here, encrypted to each of them."
    ),
]
TakeOverOption = Annotated[
    bool, typer.Option("--take-over", help="Become the keeper, because the one before is gone for good.")
]


@noted(json_keys=_JSON_KEYS, errors=_ERRORS, examples=("fingerpost consortium create --template template.toml",))
def create(*, template: TemplateOption = None, home: HomeOption = None, json: JsonOption = False) -> None:
    """Make the keys of a consortium, which seal every packet under a template with the profile consortium.

    This node is the first member and the keeper: it gives out keys and replaces them.
    """
    from fingerpost.node.consortium import create_consortium
    from fingerpost.node.identity import load_identity
    from fingerpost.packet import Profile

    out = Output(as_json=json)
    place = home_of(home)
    chosen = chosen_template(template, place)
    if chosen.profile is not Profile.CONSORTIUM:
        raise UsageError(
            "consortium-profile",
            f"packets of the template {chosen.name!r} are not sealed",
            hint='write profile = "consortium" under [privacy]',
        )
    consortium = create_consortium(
        place,
        load_identity(place),
        template_id=chosen.template_id,
        ttl_days=chosen.ttl_days,
        entropy=SystemEntropy(),
        day=today(),
    )
    keep_template(chosen, place, source=template)
    _print(out, consortium, chosen, title="New consortium")
    if not json:
        out.next_step("fingerpost consortium add PUBLIC_KEY --output member.keys")


@noted(
    json_keys=_JSON_KEYS,
    errors=_ERRORS,
    examples=("fingerpost consortium add PUBLIC_KEY --output member.keys",),
)
def add(
    members: MembersArgument,
    *,
    output: OutputOption,
    template: TemplateOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Let nodes join: write a file with all live keys that only they can read.

    The file may travel by any means. A member that is added again just gets the keys once more.
    """
    from fingerpost.node.consortium import public_key_of, save_consortium

    keys = [public_key_of(text) for text in members]
    place, chosen, consortium, identity = _kept(home, template)
    consortium = consortium.with_members(keys)
    save_consortium(place, consortium)
    _give_out(consortium, identity, keys, output)
    out = Output(as_json=json)
    _print(out, consortium, chosen, title=f"Added {count_text(len(keys), 'member')}", file=output)
    if not json:
        out.next_step(f"there: fingerpost consortium join {output} --from {consortium.keeper.hex()}")


@noted(
    json_keys=_JSON_KEYS,
    errors=_ERRORS,
    examples=("fingerpost consortium remove PUBLIC_KEY --output members.keys",),
)
def remove(
    members: MembersArgument,
    *,
    output: OutputOption,
    template: TemplateOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Shut members out: make a new key, and write it for all members that are left.

    What was sealed before stays readable to those who had the keys. What a member seals before it has joined with the
    new file does too, so let all join at once. Strike the node from network.members as well, or it still holds packets.
    """
    from fingerpost.node.consortium import public_key_of

    keys = [public_key_of(text) for text in members]
    place, chosen, consortium, identity = _kept(home, template)
    consortium = _rotated(place, consortium.without_members(keys), identity, output)
    out = Output(as_json=json)
    _print(out, consortium, chosen, title=f"Removed {count_text(len(keys), 'member')}", file=output)
    if not json:
        out.next_step(f"at every member that is left: fingerpost consortium join {output}")


@noted(
    json_keys=_JSON_KEYS,
    errors=_ERRORS,
    examples=("fingerpost consortium rotate --output members.keys",),
)
def rotate(
    *,
    output: OutputOption,
    template: TemplateOption = None,
    take_over: TakeOverOption = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make a new key for all members; earlier ones die with the last packet that they sealed."""
    place, chosen, consortium, identity = _kept(home, template, take_over=take_over)
    consortium = _rotated(place, consortium, identity, output)
    out = Output(as_json=json)
    _print(out, consortium, chosen, title="New key", file=output)
    if not json:
        keeper = f" --from {consortium.keeper.hex()}" if take_over else ""
        out.next_step(f"at every other member: fingerpost consortium join {output}{keeper}")


@noted(
    json_keys=_JSON_KEYS,
    errors=_ERRORS,
    examples=("fingerpost consortium join member.keys --template template.toml --from PUBLIC_KEY",),
)
def join(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What the keeper wrote for this node.")],
    *,
    keeper: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="PUBLIC_KEY",
            help="The keeper, as it told you itself; needed the first time.",
            show_default=False,
        ),
    ] = None,
    template: TemplateOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Take the keys of a consortium: now this node can seal packets and read those of all members.

    A node that runs in this home takes them up by itself.
    """
    from fingerpost.node.consortium import OFFER_SIZE_BYTES_MAX, join_consortium, public_key_of, read_offer
    from fingerpost.node.identity import load_identity

    out = Output(as_json=json)
    place = home_of(home)
    trusted = None if keeper is None else public_key_of(keeper)
    with file.open("rb") as opened:
        offered = read_offer(opened.read(OFFER_SIZE_BYTES_MAX + 1), load_identity(place))
    chosen = _template_of(offered, template, place)
    consortium = join_consortium(place, offered, trusted=trusted, day=today())
    keep_template(chosen, place, source=template)
    _print(out, consortium, chosen, title="Joined the consortium")
    if not json:
        out.next_step("fingerpost emit TABLE.csv --dry-run")


@noted(json_keys=_JSON_KEYS, errors=_ERRORS, examples=("fingerpost consortium keys",))
def keys(*, template: TemplateOption = None, home: HomeOption = None, json: JsonOption = False) -> None:
    """Show which keys of the consortium this node has, and who the members are. Never shows a key itself.

    Keys that open nothing any more are erased.
    """
    place = home_of(home)
    chosen = chosen_template(template, place)
    _print(Output(as_json=json), _known(place, chosen), chosen, title="Consortium")


def _known(place: "Home", template: "Template") -> "Consortium":
    from fingerpost.node.consortium import load_consortium
    from fingerpost.privacy.seal import no_keys

    consortium = load_consortium(place, template.template_id, day=today())
    if consortium is None:
        raise no_keys()
    return consortium


def _kept(
    home: Path | None, template: Path | None, *, take_over: bool = False
) -> "tuple[Home, Template, Consortium, Identity]":
    """Return the consortium of a template, which this node must keep or take over."""
    from dataclasses import replace

    from fingerpost.ids import PublicKey
    from fingerpost.node.consortium import require_keeper
    from fingerpost.node.identity import load_identity

    place = home_of(home)
    chosen = chosen_template(template, place)
    consortium, identity = _known(place, chosen), load_identity(place)
    if take_over:
        consortium = replace(consortium, keeper=PublicKey(identity.public_key)).with_members(
            [PublicKey(identity.public_key)]
        )
    require_keeper(consortium, identity)
    return place, chosen, consortium, identity


def _rotated(place: "Home", consortium: "Consortium", identity: "Identity", output: Path) -> "Consortium":
    from fingerpost.node.consortium import save_consortium
    from fingerpost.privacy.seal import KEY_SIZE_BYTES

    rotated = consortium.rotated(SystemEntropy().read(KEY_SIZE_BYTES), day=today())
    _give_out(rotated, identity, [each for each in rotated.members if each != rotated.keeper], output)
    save_consortium(place, rotated)  # Last: a key that could not be given out never seals.
    return rotated


def _give_out(consortium: "Consortium", identity: "Identity", members: "Sequence[PublicKey]", output: Path) -> None:
    from fingerpost.files import write_atomically
    from fingerpost.node.consortium import offer_keys

    write_atomically(output, offer_keys(consortium, identity, members=members))


def _template_of(offered: "Consortium", chosen: Path | None, place: "Home") -> "Template":
    from fingerpost.cli._templates import known_template

    template = known_template(offered.ring.template_id, chosen, place)
    if template is None:
        raise UsageError(
            "consortium-template",
            f"the keys are for the template {offered.ring.template_id.hex()}, which is not the one here",
            hint="name the template file that the members share with --template FILE",
        )
    return template


def _print(
    out: Output, consortium: "Consortium", template: "Template", *, title: str, file: Path | None = None
) -> None:
    ring = consortium.ring
    days = [(key, key.dies_on(ring.ttl_days)) for key in ring.keys]
    document: dict[str, Any] = {
        "template": template.name,
        "template_id": ring.template_id.hex(),
        "keeper": consortium.keeper.hex(),
        "members": [member.hex() for member in consortium.members],
        "keys": [
            {
                "number": key.number,
                "first_day": date_text(key.first_day),
                "last_day": None if key.last_day is None else date_text(key.last_day),
                "dies": None if dies is None else date_text(dies + 1),
            }
            for key, dies in days
        ],
        "file": None if file is None else str(file),
    }
    if out.as_json:
        out.document(document)
        return
    out.title(title)
    facts: list[tuple[str, object]] = [
        ("template", f"{template.name} ({ring.template_id.hex()})"),
        ("keeper", consortium.keeper.hex()),
        ("members", f"{len(consortium.members)}: {', '.join(short_id(each) for each in consortium.members)}"),
    ]
    out.facts([*facts, *([("written to", file)] if file else [])])
    out.line()
    columns = [
        Column(title="key", align="right"),
        Column(title="seals from"),
        Column(title="to"),
        Column(title="erased"),
    ]
    rows = [
        [
            f"{key.number}",
            date_text(key.first_day),
            "in use" if key.last_day is None else date_text(key.last_day),
            "" if dies is None else date_text(dies + 1),
        ]
        for key, dies in days
    ]
    out.table(columns, rows)
