"""The parts of an assessment, each of which depends on the request alone: run in processes, kept when finished.

A task is a name and a few plain values. What it returns is plain too (numbers, texts, arrays), so that it can be kept
in a file and read again without running anything that the file says.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

import fingerpost
from fingerpost.files import write_atomically

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from fingerpost.lab.assess.splits import Splits

Result = dict[str, Any]
Task = tuple[str | int | float, ...]
Work = Callable[["Splits", Task], Result]
Progress = Callable[[str], None]
PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A folder of finished tasks of one request."""

    folder: Path
    digest: str

    def read(self, task: Task) -> Result | None:
        """Return the result of a task that was finished before; a damaged file counts as none."""
        try:
            with np.load(BytesIO(self._file(task).read_bytes()), allow_pickle=False) as found:
                arrays = {name: found[name] for name in found.files if name != PLAIN}
                plain: Result = json.loads(str(found[PLAIN]))
                return plain | arrays
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            return None

    def write(self, task: Task, result: Result) -> None:
        """Keep the result of a task."""
        arrays = {name: value for name, value in result.items() if isinstance(value, np.ndarray)}
        plain = {name: value for name, value in result.items() if name not in arrays}
        data = BytesIO()
        np.savez_compressed(data, allow_pickle=False, **arrays, **{PLAIN: np.array(json.dumps(plain))})
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._file(task), data.getvalue())

    def _file(self, task: Task) -> Path:
        told = json.dumps([fingerpost.__version__, self.digest, task]).encode()
        return self.folder / f"{hashlib.blake2s(told, digest_size=16).hexdigest()}.npz"


class Runner:
    """Runs tasks of one request: here, or in ``workers`` processes; those that are kept are not run again."""

    def __init__(self, splits: Splits, work: Work, *, workers: int, kept: Kept | None, progress: Progress) -> None:
        self._splits = splits
        self._work = work
        self._workers = workers
        self._kept = kept
        self._progress = progress

    def run(self, tasks: Iterable[Task]) -> dict[Task, Result]:
        """Return the result of every task, in the order of the tasks."""
        wanted = list(dict.fromkeys(tasks))
        found = {task: self._kept.read(task) if self._kept else None for task in wanted}
        open_ = [task for task in wanted if found[task] is None]
        for task, result in self._finished(open_):
            self._progress(" ".join(str(part) for part in task))
            if self._kept is not None:
                self._kept.write(task, result)
            found[task] = result
        return {task: found[task] or {} for task in wanted}

    def _finished(self, tasks: list[Task]) -> Iterable[tuple[Task, Result]]:
        if self._workers < 2 or len(tasks) < 2:
            with single_thread():
                for task in tasks:
                    yield task, self._work(self._splits, task)
            return
        from concurrent.futures import ProcessPoolExecutor, as_completed
        from multiprocessing import get_context

        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        pool = ProcessPoolExecutor(
            min(self._workers, len(tasks)),
            mp_context=get_context("spawn"),
            initializer=_begin,
            initargs=(self._splits, self._work),
        )
        try:
            futures: dict[Future[Result], Task] = {pool.submit(_perform, task): task for task in tasks}
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def single_thread() -> Any:
    """Return a context in which libraries use one thread: cores are shared by processes, and sums keep their order."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # scikit-learn brings it along

    return threadpool_limits(1)


_STATE: dict[str, Any] = {}


def _begin(splits: Splits, work: Work) -> None:
    """Get a process ready, and let it end with the one that started it."""
    from multiprocessing import connection, parent_process
    from threading import Thread

    _STATE.update(splits=splits, work=work, limits=single_thread())
    parent = parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def watch() -> None:
            connection.wait([sentinel])
            os._exit(1)

        Thread(target=watch, daemon=True).start()


def _perform(task: Task) -> Result:
    result: Result = _STATE["work"](_STATE["splits"], task)
    return result
