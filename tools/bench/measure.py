"""Who runs when: both sides take turns, on fixed cores, and only one of them is awake.

One thread: both live in one process. More threads: each has a process of its own, because the waiting threads of one side would
spin under the other; the process whose turn it is not is stopped. A crash of either side ends the row, not the table.
"""
import ctypes
import dataclasses
import gc
import multiprocessing
import os
import pathlib
import signal
import statistics
import time

TURN_SECONDS = 0.05  # timed calls of one turn last about this long, and are at least one
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
SIDES = ("mlc", "onnxruntime")


class SideFailed(Exception):
    pass


@dataclasses.dataclass
class Timings:
    """Seconds of each call: by the clock, and of processor time of the calling thread."""
    wall: list
    cpu: list

    @property
    def minimum(self):
        return min(self.wall)

    @property
    def median(self):
        return statistics.median(self.wall)


@dataclasses.dataclass
class Plan:
    """What a worker needs to make its sides."""
    library: pathlib.Path
    model: pathlib.Path
    feeds: dict
    fixed_dims: dict
    threads: int
    cores: list


def busy_seconds(cores):
    """Seconds that these cores have worked for anyone, or were taken by the hypervisor, since boot."""
    total = 0
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            total += sum(map(int, ticks[:3])) + sum(map(int, ticks[5:8]))
    return total * TICK_SECONDS


def process_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_SECONDS


def quiet_cores(count):
    """The `count` allowed cores that worked least during a fifth of a second."""
    allowed = sorted(os.sched_getaffinity(0), reverse=True)
    before = {core: busy_seconds([core]) for core in allowed}
    time.sleep(0.2)
    return sorted(sorted(allowed, key=lambda core: busy_seconds([core]) - before[core])[:count])


def turn(run, count):
    """One call that warms caches and threads, then `count` timed ones."""
    wall_clock, cpu_clock, wall, cpu = time.perf_counter_ns, time.thread_time_ns, [0] * count, [0] * count
    run()
    for i in range(count):
        cpu_before, wall_before = cpu_clock(), wall_clock()
        run()
        wall[i], cpu[i] = wall_clock() - wall_before, cpu_clock() - cpu_before
    return Timings([time * 1e-9 for time in wall], [time * 1e-9 for time in cpu])


def worker(connection, names, plan):
    """The other end of Workers: makes its sides, then answers (side, count) with times and (side, None) with outputs."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it may be stopped when the parent ends
    os.sched_setaffinity(0, plan.cores)
    import sides  # ONNX Runtime looks at the affinity when it is loaded
    made = {}
    try:
        for name in names:
            made[name] = (sides.Mlc(plan.library, plan.feeds, plan.threads) if name == "mlc" else
                          sides.OnnxRuntime(plan.model, plan.feeds, plan.fixed_dims, plan.threads))
            made[name].run()
        gc.disable()
        connection.send(None)
        while True:
            name, count = connection.recv()
            connection.send(made[name].outputs if count is None else turn(made[name].run, count))
    except EOFError:
        pass
    except Exception as error:
        connection.send(SideFailed(f"{type(error).__name__}: {error}"))


class Workers:
    """The processes of one row."""

    def __init__(self, plan):
        self.plan, self.processes, self.pipes = plan, {}, {}
        context = multiprocessing.get_context("spawn")
        groups = [SIDES] if plan.threads == 1 else [(side,) for side in SIDES]
        self.stops = len(groups) > 1
        try:
            for names in groups:
                here, there = context.Pipe()
                process = context.Process(target=worker, args=(there, names, plan), daemon=True)
                process.start()
                there.close()
                for name in names:
                    self.processes[name], self.pipes[name] = process, here
                self._answer(names[0])
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for process in set(self.processes.values()):
            process.kill()
            process.join()

    def _answer(self, name):
        process = self.processes[name]
        try:
            answer = self.pipes[name].recv()
        except (EOFError, ConnectionResetError) as error:
            process.join()
            raise SideFailed(f"{'a side' if not self.stops else name} crashed: exit code {process.exitcode}") from error
        if isinstance(answer, Exception):
            raise answer
        if self.stops:
            os.kill(process.pid, signal.SIGSTOP)
        return answer

    def _ask(self, name, count):
        if self.stops:
            os.kill(self.processes[name].pid, signal.SIGCONT)
        try:
            self.pipes[name].send((name, count))
        except (BrokenPipeError, ConnectionResetError):
            pass  # _answer says why
        return self._answer(name)

    def outputs(self, name):
        return self._ask(name, None)

    def times(self, name, count):
        return self._ask(name, count)

    def seconds(self):
        return sum(process_seconds(process.pid) for process in set(self.processes.values()))


def interleave(workers, rounds):
    """({side: Timings}, share of the cores' time that went to others)."""
    counts = {}
    for side in SIDES:
        counts[side] = max(1, int(TURN_SECONDS / workers.times(side, 3).median))
    timings = {side: Timings([], []) for side in SIDES}
    start, own, busy = time.perf_counter(), workers.seconds(), busy_seconds(workers.plan.cores)
    for number in range(rounds):
        for side in SIDES if number % 2 == 0 else reversed(SIDES):
            new = workers.times(side, counts[side])
            timings[side].wall += new.wall
            timings[side].cpu += new.cpu
    elapsed = (time.perf_counter() - start) * len(workers.plan.cores)
    others = busy_seconds(workers.plan.cores) - busy - (workers.seconds() - own)
    return timings, max(0.0, others / elapsed)
