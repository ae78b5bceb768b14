"""Contenders of one run measured side by side, each by a process of its own (`--jobs`).

A worker does what takes long: preparing, answering the test rows, retrieval and forgetting.
All of it goes to the journal, which SQLite lets one process at a time write, so the run
afterwards finds it there as a run that is continued does: same keys, same verdict. Calls that
are timed one at a time are left to the run itself, when nothing else goes on.

What goes wrong in a worker is left to the run as well: it tries that contender again, alone,
and says why. Only a contender whose process died is not tried a second time.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from advisor.config import EndpointWeights, Recipe, TunedWeights
from advisor.engines.silence import quiet
from advisor.errors import Busy
from advisor.runner.detectors import base_reworded
from advisor.runner.journal import Journal, JournalError
from advisor.runner.plan import Plan, Watch
from advisor.runner.stages import Stages, base_key, retention_stage
from advisor.runner.trial import (
    answers_of,
    as_prepared,
    base_retention,
    looked_up,
    prepared,
    scored,
    unprepared,
)

log = logging.getLogger(__name__)

# What torch, BLAS and tokenizers take as the number of their threads.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
# How a worker ends a job: measured, left to the run, or left with all others.
DONE, LEFT, STOP = "done", "left", "stop"


@dataclass(frozen=True, slots=True)
class Job:
    """A contender at one seed, by the label that the run gives it."""

    label: str
    name: str
    seed: int


# The untouched base on the suites, which is no contender and so has no name.
BASE = Job("base", "", 0)


@dataclass(slots=True)
class _Worker:
    """A process, what it works at, and where its progress is drawn."""

    process: BaseProcess
    job: Job
    watch: Watch


def measure_ahead(stages: Stages, wanted: Sequence[Job], *, jobs: int) -> dict[str, str]:
    """Measure what the journal lacks of `wanted` with `jobs` processes; returns, by label, how
    those ended that died.

    A contender that asks an endpoint is left out: what it may spend is counted in one process.
    """
    waiting = deque(job for job in _in_order(stages.plan, wanted) if _lacks(stages, job))
    pool = _Pool(stages.plan, stages.watch, waiting, min(jobs, len(waiting)))
    if pool.size > 1:
        pool.work()
    return pool.died


@dataclass(slots=True)
class _Pool:
    """Processes by their pipes, and the jobs that wait for one."""

    plan: Plan
    watch: Watch
    waiting: deque[Job]
    size: int
    workers: dict[Connection, _Worker] = field(default_factory=dict)
    died: dict[str, str] = field(default_factory=dict)

    def work(self) -> None:
        """Until no job waits and no process works. Whatever ends this ends the processes: the
        journal keeps what they had finished, and their folders the checkpoints."""
        try:
            for _ in range(self.size):
                self._start(self.watch.beside())
            while self.workers:
                for pipe in wait(list(self.workers)):
                    assert isinstance(pipe, Connection)
                    self._hear(pipe, self.workers[pipe])
        finally:
            for worker in self.workers.values():
                worker.process.terminate()
            for worker in self.workers.values():
                worker.process.join()

    def _start(self, watch: Watch) -> None:
        # Not forked: a process that has computed with several threads cannot be.
        spawn = get_context("spawn")
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_work, args=(theirs, _threads(self.size)))
        process.start()
        theirs.close()
        job = self.waiting.popleft()
        self.workers[ours] = _Worker(process, job, watch)
        tools = replace(self.plan.tools, endpoints={})
        with suppress(BrokenPipeError):  # it has died already, which its pipe tells
            ours.send(replace(self.plan, tools=tools, share=1 / self.size))
            ours.send(job)

    def _hear(self, pipe: Connection, worker: _Worker) -> None:
        try:
            verb, *said = pipe.recv()
        except (EOFError, ConnectionResetError):
            del self.workers[pipe]
            self._bury(worker)
            return
        if verb in (DONE, LEFT, STOP):
            self._next(pipe, worker, verb)
        else:
            getattr(worker.watch, verb)(*said)

    def _bury(self, worker: _Worker) -> None:
        if worker.job != BASE:
            self.died[worker.job.label] = _end(worker.process)
            self.watch.finish(worker.job.label, self.died[worker.job.label])
        if self.waiting:
            self._start(worker.watch)

    def _next(self, pipe: Connection, worker: _Worker, how: str) -> None:
        if how == DONE and worker.job != BASE:
            self.watch.finish(worker.job.label, "answered, its latency comes at the end")
        if how == STOP:
            self.waiting.clear()  # nothing more can be kept: the run says why
        if self.waiting:
            worker.job = self.waiting.popleft()
            pipe.send(worker.job)
            return
        del self.workers[pipe]
        pipe.close()  # at which the process ends
        worker.process.join()


def _in_order(plan: Plan, wanted: Sequence[Job]) -> list[Job]:
    """What takes longest first, so that nobody waits for it at the end."""
    here = [job for job in wanted if not _elsewhere(plan.recipes[job.name])]
    tuned = [job for job in here if _tuned(plan, job)]
    base = [BASE] if tuned and plan.suites else []
    return [*tuned, *base, *(job for job in here if job not in tuned)]


def _tuned(plan: Plan, job: Job) -> bool:
    return isinstance(plan.recipes[job.name].weights, TunedWeights)


def _elsewhere(recipe: Recipe) -> bool:
    weights = recipe.weights
    teacher = weights.teacher if isinstance(weights, TunedWeights) else None
    return isinstance(weights, EndpointWeights) or bool(teacher and _elsewhere(teacher.recipe))


def _lacks(stages: Stages, job: Job) -> bool:
    """Whether the journal lacks the system, an answer, or what was not forgotten."""
    plan, journal = stages.plan, stages.journal
    suites = [suite.digest for suite in plan.suites]
    if job == BASE:
        return journal.stage(retention_stage(base_key(plan), suites)) is None
    key = unprepared(job.name, plan.recipes[job.name], plan, seed=job.seed)
    made = journal.stage(key.stage("prepare"))
    if made is None:
        return True
    key = as_prepared(key, made["files"])
    if _tuned(plan, job) and journal.stage(retention_stage(key, suites)) is None:
        return True
    keys = {key.key(example.question) for example in plan.task.test}
    return len(journal.answers(keys)) < len(keys)


def _threads(jobs: int) -> int:
    """How many each of `jobs` processes may have: two that share a core stall each other."""
    given = os.environ.get(THREADS[0], "")
    return max(1, (int(given) if given.isdecimal() else cores()) // jobs)


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _end(process: BaseProcess) -> str:
    process.join()
    code = process.exitcode or 0
    how = signal.Signals(-code).name if code < 0 else f"code {code}"
    hint = ", as the system does when memory runs out" if code == -signal.SIGKILL else ""
    return f"its process was ended ({how}{hint})"


# ------------------------------------------------------------------ in the process


def _work(pipe: Connection, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run hears it, and ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(dict.fromkeys(THREADS, str(threads)))  # before the plan brings torch
    quiet()
    plan: Plan = pipe.recv()
    while True:
        try:
            job: Job = pipe.recv()
        except EOFError:
            return
        pipe.send((_measured(plan, job, _Told(pipe, job.label)),))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None, "a worker is started by a run"
    parent.join()
    os._exit(1)  # the folder is no longer ours


def _measured(plan: Plan, job: Job, watch: Watch) -> str:
    try:
        with Journal(plan.folder / "journal.db") as journal:
            _measure(plan, job, journal, watch)
    except (Busy, JournalError):
        return STOP
    except Exception as error:  # the run meets it again, and tells of it
        log.info("%s is left to the run: %s", job.label, error)
        return LEFT
    return DONE


def _measure(plan: Plan, job: Job, journal: Journal, watch: Watch) -> None:
    stages = Stages(plan, journal, watch)
    if job == BASE:
        watch.stage(job.label, "forgetting", 1)
        base_reworded(plan, journal, base_retention(plan, journal))
        watch.advance()
        return
    key = unprepared(job.name, plan.recipes[job.name], plan, seed=job.seed)
    opened, made = prepared(plan.recipes[job.name], key, stages=stages)
    key, recipe = as_prepared(key, made["files"]), Recipe.model_validate(made["recipe"])
    answers_of(key, opened, plan=plan, journal=journal, watch=watch)
    looked_up(key, recipe, opened, stages=stages)
    if isinstance(recipe.weights, TunedWeights):
        scored(key, opened, stages=stages)


@dataclass(frozen=True, slots=True)
class _Told:
    """A watch that tells the run, in the name of the contender's label."""

    pipe: Connection
    label: str

    def begin(self, contenders: Mapping[str, Recipe], rows: int) -> None: ...

    def stage(self, contender: str, stage: str, total: int) -> None:
        self.pipe.send(("stage", self.label, stage, total))

    def advance(self, amount: int = 1) -> None:
        self.pipe.send(("advance", amount))

    def finish(self, contender: str, note: str) -> None: ...

    def beside(self) -> Watch:
        return self
