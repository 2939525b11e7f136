"""The machine code of ``reading``: one function, built with LLVM, that calls what torch's libraries export."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from ...engines.llvm.machine import emitted
from ...engines.llvm.memory import fetch

SAME, MOVED, OTHER = range(3)
"""Answers: all as it was; gradients lie elsewhere and are else as they were; something else has changed."""
FUNCTIONS = {
    "PyList_Size": "python", "PyList_GetItem": "python",
    "aoti_torch_get_data_ptr": "torch_cpu", "aoti_torch_get_dim": "torch_cpu", "aoti_torch_get_sizes": "torch_cpu",
    "aoti_torch_get_strides": "torch_cpu", "aoti_torch_get_dtype": "torch_cpu", "aoti_torch_get_layout": "torch_cpu",
    "aoti_torch_get_device_type": "torch_cpu", "aoti_torch_get_device_index": "torch_cpu",
    "aoti_torch_is_defined": "torch_cpu",
    "_ZN5torch8autograd4impl12bump_versionERKN2at6TensorE": "torch_cpu",
    "_ZNK3c1010TensorImpl4gradEv": "c10",
    "_ZN2at6native6is_negERKNS_6TensorE": "torch_cpu",
}  # fmt: skip
"""What is called -> the library that exports it."""
_BUMP, _GRAD, _IS_NEGATIVE = list(FUNCTIONS)[-3:]
FACTS = ("dtype", "layout", "device_type", "device_index")  # of a gradient; what the numbers mean is torch's affair
TABLE = (
    "offset", "record", "bump",
    "groups", "lists", "lengths", "members",
    "states", "state_objects", "state_places", "state_shapes",
    "tensors", "objects", "places", "gradients", "facts", "seen",
    "absent", "absents",
)  # fmt: skip
"""What the int64 table given to the function holds, before the addresses of FUNCTIONS: numbers, and addresses
of int64 arrays."""

_LINES = (3, 1, 3)  # of 64 bytes: of the C++ parameter, the place of its gradient, the C++ gradient
SEEN = len(_LINES)
_AHEAD = 8  # tensors: a tensor that is in no cache takes about 0.1 µs, and so does memory

_INT, _SMALL, _BYTE = ir.IntType(64), ir.IntType(32), ir.IntType(8)


def compiled() -> bytes:
    """An object file whose ``int64 kernel(int64 *table)`` gives SAME, MOVED or OTHER.

    Where the table says ``bump`` it reads nothing, and tells autograd that all parameters have been written to.
    """
    return emitted(_Reading().module)


class _Reading:
    def __init__(self) -> None:
        self.module = ir.Module("reading")
        pointer = _INT.as_pointer()
        made = ir.Function(self.module, ir.FunctionType(_INT, [pointer]), "kernel")
        self.build = build = ir.IRBuilder(made.append_basic_block())
        self.out = build.alloca(_INT)  # where torch writes its answers
        self.result, self.cursor = build.alloca(_INT), build.alloca(_INT)
        build.store(_INT(SAME), self.result)
        given = {name: build.load(build.gep(made.args[0], [_INT(i)])) for i, name in enumerate((*TABLE, *FUNCTIONS))}
        self.functions = {name: given[name] for name in FUNCTIONS}
        self.offset, self.record = given["offset"], build.icmp_signed("!=", given["record"], _INT(0))
        with build.if_then(build.icmp_signed("!=", given["bump"], _INT(0))):
            with self._each(given["tensors"]) as k:
                self._call(_BUMP, ir.VoidType(), self._handle(given["objects"], k))
            build.ret(_INT(SAME))
        self._lists(given)
        build.store(given["state_shapes"], self.cursor)
        with self._each(given["states"]) as k:
            handle = self._handle(given["state_objects"], k)
            self._require(self._ask("get_data_ptr", handle), self._at(given["state_places"], k))
            self._shape(handle)
        self._tensors(given)
        with self._each(given["absent"]) as k:
            self._stop_if(self._defined(self._gradient(self._handle(given["absents"], k))))
        build.ret(build.load(self.result))

    # ---------------------------------------------------------------- the parts

    def _lists(self, given: dict[str, Any]) -> None:
        """The groups hold the tensors they held."""
        build = self.build
        build.store(_INT(0), self.cursor)
        with self._each(given["groups"]) as k:
            listed, length = (self._at(given[name], k) for name in ("lists", "lengths"))
            self._require(self._call("PyList_Size", _INT, listed), length)
            with self._each(length) as i:
                member = build.add(build.load(self.cursor), i)
                self._require(self._call("PyList_GetItem", _INT, listed, i), self._at(given["members"], member))
            build.store(build.add(build.load(self.cursor), length), self.cursor)

    def _tensors(self, given: dict[str, Any]) -> None:
        """Each parameter lies where it did, and its gradient is as it was, or is another of the same form."""
        build = self.build
        build.store(given["facts"], self.cursor)
        with self._each(given["tensors"]) as k:
            self._fetch(given, build.add(k, _INT(_AHEAD)))
            handle = self._handle(given["objects"], k)
            self._require(self._ask("get_data_ptr", handle), self._at(given["places"], k))
            self._shape(handle)
            gradient = self._gradient(handle)
            self._stop_if(build.not_(self._defined(gradient)))
            for i, thing in enumerate((self._at(handle, _INT(0)), gradient, self._at(gradient, _INT(0)))):
                build.store(thing, self._place(given["seen"], build.add(build.mul(k, _INT(SEEN)), _INT(i))))
            for fact in FACTS:
                self._expect(self._ask(f"get_{fact}", gradient, _SMALL))
            self._shape(gradient)
            place = self._ask("get_data_ptr", gradient)
            kept = self._place(given["gradients"], k)
            with build.if_then(build.icmp_signed("!=", place, build.load(kept)), likely=False):
                self._stop_if(build.icmp_signed("==", place, _INT(0)))  # zeros that are no memory
                build.store(place, kept)
                build.store(_INT(MOVED), self.result)

    def _fetch(self, given: dict[str, Any], k: Any) -> None:
        """Call for the cache lines where tensor ``k`` was last time; if it is elsewhere now, this did no harm."""
        build = self.build
        with build.if_then(build.icmp_signed("<", k, given["tensors"])):
            lines = [(self._handle(given["objects"], k), 1)]
            for i, n in enumerate(_LINES):
                lines.append((self._at(given["seen"], build.add(build.mul(k, _INT(SEEN)), _INT(i))), n))
            for address, n in lines:
                for line in range(n):
                    fetch(build, build.add(address, _INT(64 * line)))

    # ---------------------------------------------------------------- torch's tensors

    def _handle(self, objects: Any, k: Any) -> Any:
        """Address of the C++ tensor inside a Python tensor."""
        return self.build.add(self._at(objects, k), self.offset)

    def _gradient(self, handle: Any) -> Any:
        """Address of the C++ tensor that is the gradient; an undefined one if there is none."""
        return self._call(_GRAD, _INT, self._at(handle, _INT(0)))

    def _shape(self, handle: Any) -> None:
        """A tensor has the sizes and strides that are expected next, and its numbers are what its memory says."""
        dimensions = self._ask("get_dim", handle)
        self._expect(dimensions)
        for shape in ("get_sizes", "get_strides"):
            numbers = self._ask(shape, handle)
            with self._each(dimensions) as i:
                self._expect(self._at(numbers, i))
        self._stop_if(self.build.trunc(self._call(_IS_NEGATIVE, _BYTE, handle), ir.IntType(1)))

    def _defined(self, handle: Any) -> Any:
        return self.build.trunc(self._ask("is_defined", handle, _BYTE), ir.IntType(1))

    def _ask(self, name: str, handle: Any, kind: Any = _INT) -> Any:
        """What torch answers to ``aoti_torch_<name>``; an error of its ends the reading."""
        out = self.build.bitcast(self.out, kind.as_pointer())
        failed = self._call(f"aoti_torch_{name}", _SMALL, handle, self.build.ptrtoint(self.out, _INT))
        self._stop_if(self.build.icmp_signed("!=", failed, _SMALL(0)))
        answer = self.build.load(out)
        return self.build.sext(answer, _INT) if kind is _SMALL else answer

    # ---------------------------------------------------------------- the language

    def _call(self, name: str, result: Any, *args: Any) -> Any:
        kind = ir.FunctionType(result, [_INT] * len(args)).as_pointer()
        return self.build.call(self.build.inttoptr(self.functions[name], kind), args)

    def _place(self, base: Any, k: Any) -> Any:
        return self.build.gep(self.build.inttoptr(base, _INT.as_pointer()), [k])

    def _at(self, base: Any, k: Any) -> Any:
        return self.build.load(self._place(base, k))

    def _stop_if(self, condition: Any) -> None:
        with self.build.if_then(condition, likely=False):
            self.build.ret(_INT(OTHER))

    def _require(self, value: Any, wanted: Any) -> None:
        self._stop_if(self.build.icmp_signed("!=", value, wanted))

    def _expect(self, value: Any) -> None:
        """The next of the facts must be this value; when recording, it becomes the fact."""
        build = self.build
        place = build.inttoptr(build.load(self.cursor), _INT.as_pointer())
        with build.if_else(self.record) as (recording, reading):
            with recording:
                build.store(value, place)
            with reading:
                self._require(value, build.load(place))
        build.store(build.add(build.load(self.cursor), _INT(8)), self.cursor)

    @contextmanager
    def _each(self, count: Any) -> Iterator[Any]:
        """The body for every number below ``count``."""
        build, function = self.build, self.build.function
        before, test, body, after = (build.block, *(function.append_basic_block() for _ in range(3)))
        build.branch(test)
        build.position_at_end(test)
        k = build.phi(_INT)
        k.add_incoming(_INT(0), before)
        build.cbranch(build.icmp_signed("<", k, count), body, after)
        build.position_at_end(body)
        yield k
        k.add_incoming(build.add(k, _INT(1)), build.block)
        build.branch(test)
        build.position_at_end(after)
