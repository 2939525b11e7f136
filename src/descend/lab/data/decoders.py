"""Processes that decode pictures. One that a picture ends (a crashing decoder, no memory) costs that picture alone."""

import asyncio
import multiprocessing
import os
import signal
import threading
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from .picture import Looked, Settings, examine

PROCESSES = 2


class Decoders:
    """A pool of processes, or of a thread of this one where there are to be none; a context manager that ends them."""

    def __init__(self, folder: Path, settings: Settings, processes: int = PROCESSES) -> None:
        self.folder, self.settings, self.processes = str(folder), settings, processes
        self._pool = self._new(processes)
        self._single: Executor | None = None
        self._alone = asyncio.Lock()

    def __enter__(self) -> "Decoders":
        return self

    def __exit__(self, *error: object) -> None:
        for pool in (self._pool, self._single):
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)

    @staticmethod
    def _new(processes: int) -> Executor:
        if not processes:
            return ThreadPoolExecutor(1)
        # Spawned: a fork beside threads (name look-ups, BLAS) may find a lock that nobody will ever open.
        return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=_begin)

    async def examine(self, file: Path, claim: str) -> Looked:
        """What becomes of the picture in a file (`picture.examine`)."""
        pool, loop = self._pool, asyncio.get_running_loop()
        asked = (examine, str(file), claim, self.settings, self.folder)
        try:
            return await loop.run_in_executor(pool, *asked)
        except BrokenProcessPool:  # by this picture, or by one beside it: one after the other they tell which
            async with self._alone:
                if self._pool is pool:
                    self._pool = self._new(self.processes)
                if self._single is None:
                    self._single = self._new(1)
                try:
                    return await loop.run_in_executor(self._single, *asked)
                except BrokenProcessPool:
                    self._single = None
                    return Looked("corrupt", "it ended the process that decoded it")


def _begin() -> None:
    """In a new process: Ctrl-C is the parent's affair, and without a parent there is nothing left to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
