"""``fingerpost forget``: take back everything that a person's records have become."""

from typing import TYPE_CHECKING, Annotated

import typer

from fingerpost.cli._node import node_of
from fingerpost.cli._notes import noted
from fingerpost.cli._options import HomeOption, JsonOption, TemplateOption, home_of
from fingerpost.cli._output import Output
from fingerpost.cli._templates import chosen_template
from fingerpost.cli._words import count_text
from fingerpost.cli.store import require_store
from fingerpost.errors import DaemonError, KeyFileError, RecordError, StoreError, TemplateError, UsageError

if TYPE_CHECKING:
    from fingerpost.node.subject_book import Forgotten

BEYOND_RECALL = (
    "receipts and exports that were made before: they hold copies, and whoever has them keeps them",
    "what somebody read, noted or answered before",
    "holders that are away now: each withdraws as soon as it is back, and until then it still has the packets",
    "the bytes on the disks of holders: they are overwritten within 7 days",
)


@noted(
    json_keys={
        "template": "name of the template",
        "withdrawn": "packets that are withdrawn, 64 hex digits each",
        "shared": "how many of these spoke of others too, whose part is withdrawn with them",
        "kept": "packets that cannot be recalled (noisy counts, randomised reports), 64 hex digits each",
        "elsewhere": "templates under which there is more, 32 hex digits each: forget there too",
        "holders": "other nodes that have the withdrawals already, durably",
        "acknowledged": "whether these are enough for any two nodes to be lost for ever",
        "beyond_recall": "what no withdrawal reaches, one text each",
    },
    errors=(TemplateError, RecordError, KeyFileError, StoreError, DaemonError, UsageError),
    examples=("fingerpost forget 4711",),
)
def forget(
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="As the subject column of 'fingerpost emit' named it.")
    ],
    *,
    template: TemplateOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Withdraw every packet that tells something about a subject, here and at all holders.

    A withdrawal beats its packet in whatever order they arrive, travels like a packet and outlives it. Only the key
    that signed a packet can withdraw it. What cannot be recalled is listed.
    """
    out = Output(as_json=json)
    place = home_of(home)
    chosen = chosen_template(template, place)
    require_store(place)
    with node_of(place, chosen) as node:
        forgotten = node.forget(subject)
    if json:
        out.document(
            {
                "template": chosen.name,
                "withdrawn": list(forgotten.withdrawn),
                "shared": forgotten.shared,
                "kept": list(forgotten.kept),
                "elsewhere": list(forgotten.elsewhere),
                "holders": forgotten.holders,
                "acknowledged": forgotten.acknowledged,
                "beyond_recall": list(BEYOND_RECALL),
            }
        )
        return
    _print(out, forgotten)


def _print(out: Output, forgotten: "Forgotten") -> None:
    out.title(f"Withdrew {count_text(len(forgotten.withdrawn), 'packet')}")
    facts: list[tuple[str, object]] = [("known at", count_text(forgotten.holders, "other node"))]
    if forgotten.shared:
        facts.append(("shared", f"{forgotten.shared} of them spoke of others too, whose part went with them"))
    if forgotten.kept:
        facts.append(("not recalled", f"{count_text(len(forgotten.kept), 'packet')} of noise or randomised reports"))
    facts += [("more under", f"template {other}") for other in forgotten.elsewhere]
    out.facts(facts)
    out.line()
    out.title("What no withdrawal reaches")
    for text in BEYOND_RECALL:
        out.line(f"  {text}")
