"""A Python file that somebody hands over, run: what stands beside it can be imported, and what stops it is said."""

import importlib.util
import linecache
import sys
import traceback
from pathlib import Path
from types import ModuleType


class BadScript(ValueError):
    """The file cannot be run; the message says where it stopped, and with what."""


def run(path: Path, stay: bool = False) -> ModuleType:
    """The module of a file.

    Args:
        stay: its folder can be imported from afterwards, too, as when the file is run by itself.
    Raises:
        BadScript: no such file, none of Python, or one that stops with an error.
    """
    if not path.is_file():
        raise BadScript(f"there is no file {path}" if not path.exists() else f"{path} is no file of Python")
    name = f"descend_script_{path.stem}"  # no name of a module that it may want to import
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadScript(f"{path} is no file of Python: its name must end with .py")
    module, folder = importlib.util.module_from_spec(spec), str(path.resolve().parent)
    known = folder in sys.path
    if not known:
        sys.path.insert(0, folder)
    sys.modules[name] = module  # dataclasses and pickles look for it
    linecache.checkcache(str(path))
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise BadScript(_shown(path, error)) from None
    except (Exception, SystemExit) as error:
        raise BadScript(_stopped(path, error)) from None
    finally:
        if not (known or stay):
            sys.path.remove(folder)
    return module


def _shown(path: Path, error: SyntaxError) -> str:
    """The line of a syntax error, and where in it."""
    line = (error.text or "").rstrip("\n")
    caret = f"\n    {' ' * max(0, (error.offset or 1) - 1 - (len(line) - len(line.lstrip())))}^"
    return f"{error.filename or path}, line {error.lineno}: {error.msg}\n    {line.strip()}{caret if line else ''}"


def _stopped(path: Path, error: BaseException) -> str:
    """Which line of the file stopped, and with what."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path]
    where = f", line {frames[-1].lineno}" if frames else ""
    shown = f"\n    {frames[-1].line}" if frames else ""
    return f"{path}{where}: {type(error).__name__}: {error}{shown}"
