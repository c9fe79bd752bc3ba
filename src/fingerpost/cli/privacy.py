"""``fingerpost privacy``: what was released under differential privacy, and what is left to spend."""

from collections import Counter

from fingerpost.cli._notes import noted
from fingerpost.cli._options import HomeOption, JsonOption, home_of
from fingerpost.cli._output import Column, Output
from fingerpost.cli._words import count_text, date_text
from fingerpost.errors import PrivacyError, UsageError
from fingerpost.limits import DP_LIFETIME_EPSILON, LOCAL_LIFETIME_EPSILON


@noted(
    json_keys={
        "ledger": "path of the ledger; null when nothing was ever released",
        "lifetime_epsilon": "what one subject may spend in all, over all its releases",
        "releases": "one each, in order: number, day, template_id, profile, epsilon, subjects, packets",
        "subjects": "how many subjects were counted at least once",
        "spent": "by epsilon spent so far: how many subjects",
    },
    errors=(PrivacyError, UsageError),
    examples=("fingerpost privacy budget",),
)
def budget(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """Show every release under differential privacy, and how much the subjects have spent. Nobody is named.

    The bound is for this node: a person whom several nodes know may spend as much at each of them.
    """
    from fingerpost.node.ledger_file import look_at_ledger
    from fingerpost.privacy.ledger import MILLI
    from fingerpost.privacy.subjects import SUBJECT_SIZE_BYTES

    out, place = Output(as_json=json), home_of(home)
    ledger = look_at_ledger(place)
    entries = [] if ledger is None else ledger.entries
    spent = Counter(sorted(({} if ledger is None else ledger.spent()).values()))
    releases = [
        {
            "number": entry.number,
            "day": date_text(entry.day),
            "template_id": entry.template_id.hex(),
            "profile": entry.profile,
            "epsilon": entry.cost_milli / MILLI,
            "subjects": len(entry.subjects) // SUBJECT_SIZE_BYTES,
            "packets": len(entry.packet_ids) // 32,
        }
        for entry in entries
    ]
    if json:
        out.document(
            {
                "ledger": str(place.ledger_file) if ledger is not None else None,
                "lifetime_epsilon": DP_LIFETIME_EPSILON,
                "releases": releases,
                "subjects": spent.total(),
                "spent": {f"{milli / MILLI:g}": count for milli, count in spent.items()},
            }
        )
        return
    out.title(f"{count_text(len(releases), 'release')}, {count_text(spent.total(), 'subject')}")
    out.line(
        f"  each subject may spend epsilon {DP_LIFETIME_EPSILON} in all here ({LOCAL_LIFETIME_EPSILON} where it is "
        "under local-dp); other nodes that know it count apart"
    )
    if not releases:
        return
    columns = [Column(title="release", align="right"), Column(title="day"), Column(title="template")]
    columns += [Column(title=title, align="right") for title in ("epsilon", "subjects", "packets")]
    rows = [
        [
            str(each["number"]),
            str(each["day"]),
            str(each["template_id"]),
            f"{each['epsilon']:g}",
            f"{each['subjects']:,}",
            f"{each['packets']:,}",
        ]
        for each in releases
    ]
    out.table(columns, rows)
    for milli, count in spent.items():
        out.line(f"  {count_text(count, 'subject')} spent epsilon {milli / MILLI:g}")
