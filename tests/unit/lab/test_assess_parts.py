"""The parts of an assessment: answers as shipped, partitions, time, actions, given templates, deployments."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fingerpost.elections.calculate import weigh
from fingerpost.errors import DaemonError, FingerpostError, TableError
from fingerpost.lab.assess import run, work
from fingerpost.lab.assess.actions import compared
from fingerpost.lab.assess.arms import run_arm
from fingerpost.lab.assess.deployment import checklist, read_deployment
from fingerpost.lab.assess.growth import laws_of, newcomer
from fingerpost.lab.assess.partitions import OFFLINE, one_class
from fingerpost.lab.assess.routing import (
    CONFIGURATIONS,
    Askers,
    SeededNoise,
    evidence_of,
    name_of,
    packets_of,
)
from fingerpost.lab.assess.rules import QUICK
from fingerpost.lab.assess.splits import Request, Splits
from fingerpost.lab.assess.table import Roles, read_assessed
from fingerpost.lab.assess.tasks import Kept, Runner
from fingerpost.packet import Profile
from fingerpost.template import parse_template

if TYPE_CHECKING:
    from pathlib import Path

    from fingerpost.lab.assess.setting import Setting

SIZES = replace(QUICK, seeds=2, rounds=3, test_max=40)
TEMPLATE = """
format = 1
name = "given"
data_class = "non_personal"
[situation.a]
kind = "number"
range = [-5, 5]
[situation.never]
kind = "number"
range = [0, 1]
[outcome]
name = "happened"
kind = "category"
levels = ["yes", "unknown", "no"]
[fingerprint]
bits = 256
[privacy]
profile = "open"
[retention]
ttl_days = 365
"""


def _request(folder: Path, *, rows: int = 160, confounded: bool = False, **more: Any) -> Request:
    """A table whose outcome follows from two numbers, with sites, days and treatments."""
    chance = np.random.default_rng(3)
    values = chance.normal(size=(rows, 3))
    happened = np.where(values[:, :2].sum(axis=1) > 0, "yes", "no")
    treated = values[:, 0] > 0 if confounded else chance.random(rows) < 0.5
    lines = [
        f"{a:.3f},{b:.3f},{c:.3f},{'pqr'[row % 3]},{row},{'drug' if treat else 'none'},{what}"
        for row, ((a, b, c), treat, what) in enumerate(zip(values, treated, happened, strict=True))
    ]
    file = folder / "table.csv"
    file.write_text("\n".join(["a,b,c,site,day,did,happened", *lines]) + "\n", encoding="utf-8")
    roles = Roles(outcome="happened", node="site", action="did", time=more.pop("time", None))
    return Request(table=read_assessed(file, roles, rows_max=1_000, seed=0), source="t", sizes=SIZES, **more)


def _setting(folder: Path) -> Setting:
    return Splits(_request(folder)).setting("natural", 0)


def test_many_questions_at_once_are_answered_as_the_public_path_answers_one(tmp_path: Path) -> None:
    setting = _setting(tmp_path)
    askers = Askers(evidence_of(packets_of(setting), setting), setting)
    asked = setting.asked[:7]
    said = askers.forecast(1, asked, elections=False)
    synthesizer = askers.synthesizer(np.ones(len(askers.evidence), np.bool_))
    me = name_of(1, setting.seed)
    weighing = weigh(None, synthesizer.panel(me), asker=me)
    answers = synthesizer.ask_many(askers.queries(asked), weighing=weighing)
    expected = [[level.probability for level in answer.levels] for answer in answers]
    assert said == pytest.approx(np.array(expected), abs=1e-9)


def test_packets_of_the_consortium_are_sealed_and_those_of_counts_hold_no_record(tmp_path: Path) -> None:
    setting = _setting(tmp_path)
    sealed, counts = packets_of(setting), packets_of(setting, "dp-aggregate")
    assert set(sealed["profile"].tolist()) == {Profile.CONSORTIUM}
    assert set(counts["profile"].tolist()) == {Profile.DP_AGGREGATE}
    template = CONFIGURATIONS["dp-aggregate"].template(setting.template)
    assert len(counts) == setting.nodes * (1 << template.cell_bits) * 3  # without an action, and each of two
    told = {node: len(setting.rows_of(node)) for node in range(setting.nodes)}
    assert len(sealed) == sum(told.values())


def test_seeded_noise_is_discrete_laplace_of_its_scale() -> None:
    noisy = SeededNoise(1).discrete_laplace(np.zeros(200_000, np.int64), scale=1.0)
    ratio = np.exp(-1)
    assert noisy.mean() == pytest.approx(0, abs=0.02)
    assert (noisy == 0).mean() == pytest.approx((1 - ratio) / (1 + ratio), abs=0.01)
    assert noisy.var() == pytest.approx(2 * ratio / (1 - ratio) ** 2, rel=0.03)


def test_every_node_sees_one_outcome_where_nodes_are_enough() -> None:
    codes = np.arange(300) % 3
    owners = one_class(codes, nodes=7, chance=np.random.default_rng(0))
    assert all(len(np.unique(codes[owners == node])) == 1 for node in range(7))
    few = one_class(codes, nodes=2, chance=np.random.default_rng(0))
    assert set(few.tolist()) == {0, 1}


def test_a_node_that_never_was_there_is_not_heard(tmp_path: Path) -> None:
    setting = Splits(_request(tmp_path)).setting(OFFLINE, 0)
    assert setting.heard is not None
    assert setting.plan.participation == pytest.approx(0.2)
    silent = replace(setting, heard=frozenset({0}))
    askers = Askers(evidence_of(packets_of(silent), silent), silent)
    heard = askers._reached(1)
    names = {askers.evidence.node_ids[node].tobytes() for node in np.unique(askers.evidence.node_index[heard])}
    assert names == {name_of(0, silent.seed), name_of(1, silent.seed)}


def test_with_a_time_the_past_is_trained_on_and_the_future_asked_about(tmp_path: Path) -> None:
    splits = Splits(_request(tmp_path, time="day"))
    for turn in range(SIZES.seeds):
        setting = splits.base(turn)
        assert setting.train.max() < setting.asked.min()
    said = run_arm("no_change", splits.setting("natural", 0))
    setting = splits.setting("natural", 0)
    assert setting.previous is not None
    assert said.probabilities.sum(axis=1) == pytest.approx(1)
    assert said.bytes == 0


@pytest.mark.parametrize("horizon", [1, 3])
def test_no_change_knows_nothing_of_its_own_moment_nor_of_what_is_not_known_yet(horizon: int, tmp_path: Path) -> None:
    file = tmp_path / "times.csv"
    happened = ["no", "yes", "yes", "no", "yes"]  # two sites, each with two rows a day
    lines = [f"{row % 7},{'pq'[row // 2 % 2]},{row // 4},{happened[row // 4 % 5]}" for row in range(80)]
    file.write_text("\n".join(["a,site,day,happened", *lines]) + "\n", encoding="utf-8")
    for node in ("site", None):
        roles = Roles(outcome="happened", node=node, time="day", horizon=horizon)
        table = read_assessed(file, roles, rows_max=1_000, seed=0)
        days = np.arange(80) // 4
        known = [-1 if day < horizon else table.codes[4 * (day - horizon)] for day in days]
        assert table.previous is not None
        assert table.previous.tolist() == known


def test_actions_are_compared_and_the_warning_fires_where_the_situation_decided(tmp_path: Path) -> None:
    fair = compared(Splits(_request(tmp_path, rows=400)).setting("natural", 0))
    biased = compared(Splits(_request(tmp_path, rows=400, confounded=True)).setting("natural", 0))
    assert not fair["overlap_warning"]
    assert biased["overlap_warning"]
    for action in fair["actions"].values():
        for level in action["levels"].values():
            assert 0 <= level["low"] <= level["value"] <= level["high"] <= 1


def test_a_given_template_decides_what_every_arm_sees(tmp_path: Path) -> None:
    template = parse_template(TEMPLATE)
    request = replace(_request(tmp_path), template=None)
    request = Request(
        table=replace(request.table, actions=None, action_levels=()), source="t", sizes=SIZES, template=template
    )
    setting = Splits(request).setting("natural", 0)
    assert setting.names == ("no", "yes")
    assert setting.features.shape[1] == 1
    said = run_arm("consortium", setting).probabilities
    assert said.shape == (len(setting.asked), 2)
    assert said.sum(axis=1) == pytest.approx(1)


def test_a_template_of_another_outcome_is_refused(tmp_path: Path) -> None:
    template = parse_template(TEMPLATE.replace("happened", "weather"))
    with pytest.raises(TableError) as caught:
        _request(tmp_path, template=template)
    assert caught.value.code == "assess-template"


def test_nothing_of_a_newcomer_was_known_before_but_its_own_rows(tmp_path: Path) -> None:
    setting = _setting(tmp_path)
    inner = newcomer(setting, 1, 8)
    assert inner is not None
    assert len(inner.rows_of(1)) == 8
    assert not set(inner.asked.tolist()) & set(inner.train.tolist())
    assert newcomer(setting, 1, 10_000) is None


def test_laws_say_which_number_quality_follows() -> None:
    def points(across: Any) -> list[dict[str, Any]]:
        return [
            {"nodes": n, "pairs_of_nodes": n * (n - 1) // 2, "log_loss": 0.3 + 0.2 / np.sqrt(across(n)), "bytes": n}
            for n in (2, 3, 5, 9, 20)
        ]

    more = {"effective_sample_size": 1.0, "corroboration": 1.0, "pairs_of_records": 1.0}
    by_nodes = [{**point, **more} for point in points(lambda n: n)]
    by_pairs = [{**point, **more} for point in points(lambda n: n * (n - 1) / 2)]
    assert laws_of(by_nodes)["follows"] == "nodes"
    assert laws_of(by_pairs)["follows"] == "pairs of nodes"


def test_a_damaged_part_is_run_again(tmp_path: Path) -> None:
    kept = Kept(folder=tmp_path, digest="d")
    kept.write(("arm", 1), {"value": 2.5, "array": np.arange(3)})
    found = kept.read(("arm", 1))
    assert found is not None
    assert found["value"] == 2.5
    assert found["array"].tolist() == [0, 1, 2]
    file = next(tmp_path.iterdir())
    file.write_bytes(file.read_bytes()[:40])
    assert kept.read(("arm", 1)) is None
    assert Kept(folder=tmp_path, digest="other").read(("arm", 1)) is None


def test_a_coordinator_that_cannot_be_killed_here_is_said_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(**_: Any) -> None:
        raise DaemonError("lab-flower", "no SuperLink here")

    monkeypatch.setattr(work, "measure_coordinator", fail)
    kept = Kept(folder=tmp_path / "kept", digest="d")
    for rounds, said in ((3, "no SuperLink here"), (0, "A full assessment measures it")):
        request = replace(_request(tmp_path), sizes=replace(SIZES, coordinator_rounds=rounds))
        found = run.crashed(request, Runner(Splits(request), work.work, workers=1, kept=kept, progress=print))
        assert said in found["left_out"]
    assert kept.read(run.COORDINATOR) is None, "the next run tries again"


def _figures() -> dict[str, Any]:
    """What a checklist reads of a report."""
    row = {"attack": "flip", "share": 0.4, "loss_points": {"consortium": 0.0, "fedavg": 30.0, "median": 12.0}}
    return {
        "chosen": {"federated": "fedavg"},
        "failure_modes": {
            "inversion": {"updates": [{"psnr": 110.0, "label": "analytic, batch 1"}]},
            "non_iid": {"penalty_points": {"dirichlet-0.1": {"fedavg": 4.0}}},
            "communication": {"rounds": 40},
            "byzantine": {"rows": [row]},
            "coordinator": {"left_out": "not run here"},
        },
    }


DEPLOYMENT = """
adversary = "{adversary}"
iid = {iid}
bytes_per_node = {bytes}
liars = 0.2
coordinator_acceptable = {coordinator}
model_parameters = 1_000_000
"""


@pytest.mark.parametrize(
    ("stated", "walls"),
    [
        ({"adversary": "server", "iid": "false", "bytes": 1_000, "coordinator": "false"}, 5),
        ({"adversary": "none", "iid": "true", "bytes": 10**12, "coordinator": "true"}, 1),
        ({"adversary": "none", "iid": "false", "bytes": 1_000, "coordinator": "true"}, 3),
    ],
)
def test_walls_are_counted_and_three_are_worth_an_examination(
    stated: dict[str, Any], walls: int, tmp_path: Path
) -> None:
    file = tmp_path / "d.toml"
    file.write_text(DEPLOYMENT.format(**stated), encoding="utf-8")
    found = checklist(_figures(), read_deployment(file))
    assert len(found["questions"]) == 5
    assert found["walls"] == walls
    assert ("worth examining" in found["sentence"]) == (walls >= 3)


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "iid = true",
        DEPLOYMENT.format(adversary="martian", iid="true", bytes=1, coordinator="true"),
        DEPLOYMENT.format(adversary="none", iid='"yes"', bytes=1, coordinator="true"),
        DEPLOYMENT.format(adversary="none", iid="true", bytes=0, coordinator="true"),
        DEPLOYMENT.format(adversary="none", iid="true", bytes=1, coordinator="true") + "more = 1\n",
    ],
)
def test_a_deployment_that_says_too_little_or_nonsense_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "d.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(FingerpostError) as caught:
        read_deployment(file)
    assert caught.value.code == "assess-deployment"
    assert caught.value.hint
