"""Two software agents: the second one succeeds through the outcomes of the first.

Both do programming tasks, and choose one of three ways to go about each. Which way works depends on the task, and
nobody tells them. The first agent tries ways at random and emits every outcome. The second agent has no experience at
all. It asks before each task what came of each way in similar situations, and takes the most promising one. A third
agent runs the same code on the same tasks, but hears from nobody: it has its own outcomes only.

    python examples/agents.py

The world is simulated, and all of it follows from one seed: every run prints the same.
"""

from __future__ import annotations

import random
from pathlib import Path

import fingerpost

TEMPLATE = Path(__file__).with_name("tasks.toml")
WAYS = ("edit at once", "write a test first", "search the code first")
TASKS_OF_FIRST = 300
TASKS_OF_SECOND = 120
EMITTED_TOGETHER = 30  # An agent emits its outcomes in batches: one signature for all of them.
TOLD = 2

Situation = dict[str, str | int]


def new_task(chance: random.Random) -> Situation:
    """Return the next task as an agent sees it before doing anything."""
    return {
        "language": chance.choice(["python", "rust", "sql"]),
        "task": chance.choice(["fix a bug", "add a feature", "rename things"]),
        "files": round(10 ** chance.uniform(0, 3)),
        "has_tests": chance.choice(["no", "yes"]),
    }


def chance_of_success(task: Situation, way: str) -> float:
    """Return how often a way solves such a task. This is the hidden truth, and no agent reads it."""
    large, tested = int(task["files"]) > 30, task["has_tests"] == "yes"
    if way == "edit at once":
        return 0.15 if large else 0.9
    if way == "write a test first":
        return 0.9 if tested and task["task"] == "fix a bug" else 0.3
    return 0.85 if large and task["language"] != "sql" else 0.35


class World:
    """The same tasks and the same luck for everybody."""

    def __init__(self, seed: int, tasks: int) -> None:
        chance = random.Random(seed)
        self.tasks = [new_task(chance) for _ in range(tasks)]
        self._luck = [chance.random() for _ in range(tasks)]

    def outcome(self, number: int, way: str) -> str:
        """Return what comes of going about task ``number`` in this way."""
        return "solved" if self._luck[number] < chance_of_success(self.tasks[number], way) else "failed"

    def best_possible(self) -> float:
        """Return the share of tasks solved by somebody who knows the hidden truth."""
        ways = [max(WAYS, key=lambda way: chance_of_success(task, way)) for task in self.tasks]
        return sum(self.outcome(number, way) == "solved" for number, way in enumerate(ways)) / len(ways)


def explore(node: fingerpost.Node, world: World, seed: int) -> float:
    """Try ways at random, and emit what came of each; return the share solved."""
    chance = random.Random(seed)
    ways = [chance.choice(WAYS) for _ in world.tasks]
    outcomes = [world.outcome(number, way) for number, way in enumerate(ways)]
    emit(node, world.tasks, ways, outcomes)
    return outcomes.count("solved") / len(outcomes)


def choose(answer: fingerpost.Answer, chance: random.Random) -> tuple[str, str]:
    """Return the way to go, and why: one never tried, or else the one whose interval reaches highest.

    That is hope within reason: a way that may be good is tried, and one that is known to be bad is not.
    """
    solved = {action.action: action.levels[1] for action in answer.actions}
    untried = [way for way in WAYS if way not in solved]
    if untried:
        return chance.choice(untried), "nobody has told of this way yet"
    best = max(solved, key=lambda way: solved[way].high)
    heard = ", ".join(f"{way} {solved[way].low:.0%} to {solved[way].high:.0%}" for way in WAYS)
    return best, f"solved in such situations: {heard}"


def work(node: fingerpost.Node, world: World, seed: int, *, told: int = 0) -> list[bool]:
    """Ask before every task, go the way that looks best, emit in batches; return which tasks were solved."""
    chance = random.Random(seed)
    solved: list[bool] = []
    for start in range(0, len(world.tasks), EMITTED_TOGETHER):
        tasks = world.tasks[start : start + EMITTED_TOGETHER]
        answers = node.ask_table(columns_of(tasks))
        choices = [choose(answer, chance) for answer in answers]
        ways = [way for way, _ in choices]
        outcomes = [world.outcome(start + number, way) for number, way in enumerate(ways)]
        for task, (way, why), outcome in list(zip(tasks, choices, outcomes, strict=True))[: max(0, told - start)]:
            print(f"  {task['task']}, {task['language']}, {task['files']} files, tests: {task['has_tests']}")
            print(f"    {why}")
            print(f"    goes for: {way}. {outcome.capitalize()}.")
        emit(node, tasks, ways, outcomes)
        solved += [outcome == "solved" for outcome in outcomes]
    return solved


def emit(node: fingerpost.Node, tasks: list[Situation], ways: list[str], outcomes: list[str]) -> None:
    """Emit many outcomes at once."""
    node.emit_table(columns_of(tasks) | {"action": ways, "result": outcomes})


def columns_of(tasks: list[Situation]) -> dict[str, list[str | int]]:
    """Return tasks as columns."""
    return {name: [task[name] for task in tasks] for name in tasks[0]}


def main() -> None:
    """Let the agents work, and compare them."""
    network = fingerpost.MemoryNetwork()
    with (
        fingerpost.Node(TEMPLATE, network=network) as first,
        fingerpost.Node(TEMPLATE, network=network) as second,
        fingerpost.Node(TEMPLATE) as alone,
    ):
        share = explore(first, World(seed=1, tasks=TASKS_OF_FIRST), seed=2)
        print(f"The first agent tries ways at random on {TASKS_OF_FIRST} tasks: {share:.0%} solved.")
        print(f"It emits {TASKS_OF_FIRST} packets. The second agent starts now, on tasks that nobody has seen.\n")
        world = World(seed=3, tasks=TASKS_OF_SECOND)
        shared = work(second, world, seed=4, told=TOLD)
        lonely = work(alone, world, seed=4)
    batches = range(0, TASKS_OF_SECOND, EMITTED_TOGETHER)
    print(f"\nSolved of the same {TASKS_OF_SECOND} tasks:      all   by batches of {EMITTED_TOGETHER}")
    for name, solved in (("with the first agent's packets", shared), ("alone, with the same code", lonely)):
        shares = [sum(solved[start : start + EMITTED_TOGETHER]) / EMITTED_TOGETHER for start in batches]
        print(f"  {name:30}{sum(solved) / len(solved):5.0%}   {'  '.join(f'{share:.0%}' for share in shares)}")
    print(f"  {'whoever knows the hidden truth':30}{world.best_possible():5.0%}")


if __name__ == "__main__":
    main()
