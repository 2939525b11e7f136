"""Tables on the device that follow tables on the host, and the launch of a kernel."""

from typing import Any

import numpy as np
import torch

RING = 4  # copies that may be under way before the host waits for the oldest


def capturing(device: torch.device) -> bool:
    """Whether a CUDA graph is recording what this thread launches."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


class Table:
    """An array of the host on the device: sent when it changes, without waiting for the device.

    The address on the device never changes while the shape does not, so that CUDA graphs may hold it.
    """

    def __init__(self, values: np.ndarray, device: torch.device) -> None:
        self.device = device
        self.known = np.array([])
        self.there = torch.empty(0)
        self._ring: list[tuple[torch.Tensor, Any]] = []
        self._sent = 0
        self.send(values)

    def send(self, values: np.ndarray) -> None:
        """Make the device hold ``values`` (in stream order).

        Raises:
            RuntimeError: they changed while a CUDA graph was being captured, which would not record it.
        """
        if self.known.shape == values.shape and np.array_equal(self.known, values, equal_nan=values.dtype.kind == "f"):
            return
        if capturing(self.device):
            raise RuntimeError(
                "a step captured in a CUDA graph found other gradients, settings or steps than the step before; "
                "run one step outside the graph with the same tensors, then capture"
            )
        kind = torch.from_numpy(np.zeros(0, values.dtype)).dtype
        if self.known.shape != values.shape or self.there.dtype != kind:
            self.there = torch.zeros(values.shape, dtype=kind, device=self.device)
            self._ring = []
        self.known = values.copy()
        if self.device.type != "cuda":
            self.there.copy_(torch.from_numpy(self.known))
            return
        self._send_pinned()

    def _send_pinned(self) -> None:
        """Copy from page-locked memory, which the device reads later: so it is not written again before."""
        at, self._sent = self._sent % RING, self._sent + 1
        if len(self._ring) < RING:
            at = len(self._ring)
            pinned = torch.empty(self.known.shape, dtype=self.there.dtype, pin_memory=True)
            self._ring.append((pinned, torch.cuda.Event()))
        else:
            self._ring[at][1].synchronize()
        pinned, done = self._ring[at]
        pinned.copy_(torch.from_numpy(self.known))
        self.there.copy_(pinned, non_blocking=True)
        done.record(torch.cuda.current_stream(self.device))


class Numbers:
    """The per-tensor state of a Work where kernels read and write it, wherever the caller keeps it.

    A float64 tensor on the device is used as it is, and nothing waits for anything. A NumPy array for
    tensors on a GPU is copied there and back at each step, and the copy back waits for the device.
    """

    def __init__(self, given: Any, device: torch.device) -> None:
        self.given = given
        if isinstance(given, torch.Tensor):
            if given.dtype != torch.float64 or given.device != device or not given.is_contiguous():
                raise ValueError(
                    f"per-tensor state must be contiguous float64 on {device}; got {given.dtype} on {given.device}"
                )
            self.there, self.mirror = given, None
        elif device.type == "cpu":
            self.there, self.mirror = torch.from_numpy(given), None
        else:
            self.mirror = Table(given, device)
            self.there = self.mirror.there

    def send(self) -> None:
        if self.mirror is not None:
            self.mirror.send(self.given)

    def fetch(self) -> None:
        if self.mirror is not None:
            self.given[:] = self.there.cpu().numpy()
            self.mirror.known = self.given.copy()


def chunks(sizes: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Chunks of ``length`` elements cut from all tensors.

    Returns: int64 (chunks, 3): tensor, first element, number of elements; and for each tensor its first
    chunk, with the number of chunks at the end.
    """
    counts = -(-sizes // length)
    tensor = np.repeat(np.arange(len(sizes)), counts)
    bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    begin = (np.arange(len(tensor)) - bounds[tensor]) * length
    table = np.stack([tensor, begin, np.minimum(length, sizes[tensor] - begin)], axis=1)
    return np.ascontiguousarray(table, np.int64), bounds
