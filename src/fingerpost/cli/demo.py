"""``fingerpost demo``: four hospitals learn from each other's outcomes, on real patients."""

import errno
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fingerpost.cli._notes import noted
from fingerpost.cli._output import Output
from fingerpost.errors import FingerpostError

if TYPE_CHECKING:
    from fingerpost.cli._demo_story import Story
    from fingerpost.lab.demo import Demo
    from fingerpost.lab.demo_report import DemoReport
    from fingerpost.packet import Profile

STANDARD_OUTPUT = "-"


class CarrierName(StrEnum):
    """What may move the packets."""

    ZEROMQ = "zeromq"
    GRPC = "grpc"
    FLIGHT = "flight"
    NATS = "nats"
    MEMORY = "memory"


class ProfileName(StrEnum):
    """Under which privacy profile the hospitals emit."""

    CONSORTIUM = "consortium"
    OPEN = "open"
    K_ANONYMOUS = "k-anonymous"
    DP_AGGREGATE = "dp-aggregate"
    LOCAL_DP = "local-dp"

    @property
    def profile(self) -> "Profile":
        """The profile as packets name it."""
        from fingerpost.packet import Profile

        return Profile[self.name]


ProfileOption = Annotated[
    ProfileName,
    typer.Option("--profile", help="Under which privacy profile packets leave the hospitals."),
]
CarrierOption = Annotated[
    CarrierName,
    typer.Option(
        "--carrier", help="What moves packets between the four processes; memory puts all nodes into this one."
    ),
]
JsonFileOption = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write everything to FILE as JSON as well; with - print JSON instead of text.",
        show_default=False,
    ),
]


@noted(
    json_keys={
        "schema": "fingerpost-demo/2; docs/reference/demo.md describes every key",
        "fingerpost": "version of the program",
        "seed": "seed of every random choice but the packets' nonces (with --carrier memory of those too)",
        "repetitions": "how often the own patients were drawn",
        "own_rows": "how many own patients were drawn",
        "seconds": "how long it took",
        "data": "source and licence of the patients",
        "template": "name, template_id, fingerprint_bits and profile of the template that all hospitals share",
        "network": "which processes ran, how they joined, and what was lost when one was killed",
        "hospitals": "what each hospital emitted",
        "question": "one question with its whole answer and with what came true",
        "newcomers": "the scores of every method at every hospital",
        "flipped": "the scores when one hospital tells the opposite of what it saw, undefended and defended, and what "
        "spoke against it; null where packets do not tell of one patient each",
        "profiles": "what every privacy profile promises, and the scores of newcomers under it",
        "verdicts": "what the figures say, in sentences",
        "notes": "what was left out, and why",
    },
    errors=(FingerpostError,),
    examples=(
        "fingerpost demo",
        "fingerpost demo --quick",
        "fingerpost demo --carrier nats",
        "fingerpost demo --profile dp-aggregate",
        "fingerpost demo --json demo.json",
    ),
)
def demo(
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the central models, and draw the 25 own patients once.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Print the whole answer, and every method at every hospital, as well.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of every random choice.")] = 0,
    carrier: CarrierOption = CarrierName.ZEROMQ,
    profile: ProfileOption = ProfileName.CONSORTIUM,
    json: JsonFileOption = None,
) -> None:
    """Let four hospitals learn from each other's outcomes, on 920 real patients.

    Each hospital is a node in a process of its own. They find each other, three emit packets, the fourth asks, one is
    killed, and nothing is lost. Then each hospital in turn is the newcomer, which has no outcomes of its own yet, and
    asks about its patients. One hospital tells the opposite of what it saw, and every privacy profile says what it
    costs. The data come with the package; your home is neither read nor written, and no process is left when the demo
    ends.
    """
    from fingerpost.cli._demo_story import Story
    from fingerpost.lab.demo import Demo

    out = Output(as_json=str(json) == STANDARD_OUTPUT)
    if json is not None and not out.as_json:
        _check_target(json)
    with (
        _ended_by_signals(),
        Demo(seed=seed, quick=quick, carrier=carrier.value, profile=profile.profile) as demonstration,
    ):
        report = _run(demonstration, Story(out, full=full), out)
    if out.as_json:
        out.document(report.to_document())
        return
    if json is not None:
        from fingerpost.files import write_atomically

        write_atomically(json, report.to_json().encode())
        out.line()
        out.line(f"The same figures are in {json}.")
    out.next_step("fingerpost template infer TABLE.csv --outcome COLUMN -o template.toml")


def _check_target(file: Path) -> None:
    """Raise ``OSError`` now for a file that could not be written half a minute later."""
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a directory", str(file))
    if not file.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such directory", str(file.parent))


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does, so that whatever it started is ended with it."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    taken = {number: handler for number, handler in before.items() if handler is signal.SIG_DFL}  # not under nohup
    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)


def _run(demonstration: "Demo", story: "Story", out: Output) -> "DemoReport":
    """Run the acts of the demo, and tell them as they happen unless JSON is wanted."""
    from fingerpost.lab.crash import NetworkPart

    story.opening(demonstration)
    with out.progress("Starting the hospitals", total=demonstration.join_steps()) as advance:
        joined = demonstration.join(advance)
    story.joined(joined, carrier=demonstration.carrier)
    emissions = demonstration.emit()
    story.emissions(emissions, profile=demonstration.profile)
    question = demonstration.ask_once()
    story.question(question, emissions)
    crash = demonstration.crash(question, emissions)
    last = demonstration.emit_last()
    emissions = (*emissions, last)
    back = demonstration.come_back(last)
    if crash is not None and back is not None:
        story.crash(crash, question, last, back)
    with out.progress("Asking about all 920 patients", total=demonstration.steps()) as advance:
        newcomers = demonstration.compare(advance)
    story.newcomers(newcomers, demonstration)
    with out.progress("Starting over, with a liar", total=demonstration.flip_steps()) as advance:
        flipped = demonstration.flip(newcomers, advance)
    ended = demonstration.end()
    story.flipped(flipped, profile=demonstration.profile)
    with out.progress("Comparing the profiles", total=len(ProfileName)) as advance:
        profiles = demonstration.compare_profiles(newcomers, emissions, advance)
    story.profiles(profiles, newcomers, chosen=demonstration.profile)
    network = NetworkPart(carrier=demonstration.carrier, joined=joined, crash=crash, back=back, ended=ended)
    report = demonstration.report(network, emissions, question, newcomers, flipped, profiles)
    story.verdicts(report)
    return report
