"""Reads the cases. A word that is not known, or a case that expects nothing, is an error: no case can pass by a typo."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER: Final = Path(__file__).resolve().parents[1]
#: Files of the folder that hold no cases.
_OTHERS: Final = frozenset({"lab.yaml", "statuses.yaml"})
GONE, UNCHANGED = "gone", "unchanged"


@dataclass(frozen=True, kw_only=True)
class Given:
    """The ConfigMap as it is made. ``full``: a foreign key is made so long that only so many bytes are left."""

    data: Mapping[str, str] | None
    namespace: str = "target-ns"
    exists: bool = True
    immutable: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    binary: Mapping[str, str] = field(default_factory=dict)
    full: int | None = None


@dataclass(frozen=True, kw_only=True)
class Meanwhile:
    """What happens while the checkup runs: once VMIs ``exist`` or ``run``, a look, and somebody who does something."""

    when: str
    does: str = ""
    status: Mapping[str, str] | None = None
    owner: str | None = None
    within_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One run of a checkup, and what comes of it.

    ``status`` are all ``status.*`` keys, without that prefix; or ``gone``, or ``unchanged``. ``created`` is the number
    of VMIs. ``removes`` and ``changes`` are done to the ConfigMap before, as the web console does it.
    """

    exit_status: int
    status: Mapping[str, str] | str
    log: Sequence[str] = ()
    log_lacks: Sequence[str] = ()
    created: int | None = None
    meanwhile: Meanwhile | None = None
    removes: Sequence[str] = ()
    changes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A ConfigMap, what surrounds it, and the runs that are made of it. ``row`` is its line in the documentation."""

    name: str
    tells: str
    steps: Sequence[Step]
    given: Given | None = None
    manifest: str | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    role: str = "todays"
    row: str = ""
    ids: str = ""

    @property
    def id(self) -> str:
        """For the test: the edge cases' ids, and the name."""
        return f"{self.ids}-{self.name}" if self.ids else self.name


def load(folder: Path = FOLDER, *, files: Sequence[str] = ()) -> list[Case]:
    """Read the cases of every file, or of ``files``, in their order. Raises ``ValueError`` that names file and case."""
    shapes = _read(folder / "statuses.yaml")
    found: list[Case] = []
    known = sorted(path for path in folder.glob("*.yaml") if path.name not in _OTHERS)
    for path in (folder / name for name in files) if files else known:
        whole = _Words(_read(path), path.name)
        base = whole.take("base", {})
        usual = whole.take("usually", {})
        whole.take("about", "")
        raws = whole.take("cases", [])
        found += [_case({**usual, **raw}, base, shapes, path.name) for raw in raws]
        whole.end()
    names = [case.name for case in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"cases of one name: {', '.join(sorted(twice))}")
    return found


def documents(name: str) -> list[dict[str, Any]]:
    """Read the manifests of one file."""
    text = (FOLDER / "manifests" / name).read_text(encoding="utf-8")
    return [one for one in yaml.safe_load_all(text) if one]


def _read(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return read


class _Words:
    """A mapping whose keys are taken one by one; what is left at the end is not known."""

    def __init__(self, raw: Mapping[str, Any], where: str) -> None:
        self._left = dict(raw)
        self._where = where

    def take(self, key: str, default: Any = None) -> Any:
        return self._left.pop(key, default)

    def need(self, key: str) -> Any:
        if key not in self._left:
            raise ValueError(f"{self._where}: {key} is missing")
        return self._left.pop(key)

    def end(self) -> None:
        if self._left:
            raise ValueError(f"{self._where}: not known: {', '.join(self._left)}")


def _case(raw: Mapping[str, Any], base: Mapping[str, str], shapes: Mapping[str, Any], file: str) -> Case:
    where = f"{file}, case {raw.get('case')!r}"
    words = _Words(raw, where)
    given = words.take("configmap")
    again = words.take("again", [])
    case = Case(
        name=words.need("case"),
        tells=words.need("tells"),
        ids=words.take("edge", ""),
        given=None if given is None else _given(given, base, where),
        manifest=words.take("manifest"),
        environment=words.take("environment", {}),
        arguments=tuple(words.take("arguments", ())),
        role=words.take("role", "todays"),
        row=words.take("row", ""),
        steps=(_step(words, shapes, where), *(_whole_step(one, shapes, where) for one in again)),
    )
    words.end()
    if (case.given is None) == (case.manifest is None):
        raise ValueError(f"{where}: either configmap or manifest")
    return case


def _given(raw: Mapping[str, Any], base: Mapping[str, str], where: str) -> Given:
    words = _Words(raw, f"{where}, configmap")
    changes = words.take("changes")
    data = words.take("data")
    if changes is not None:
        merged = {**base, **changes}
        data = {key: value for key, value in merged.items() if value is not None}
    given = Given(
        data=data,
        namespace=words.take("namespace", "target-ns"),
        exists=words.take("exists", True),
        immutable=words.take("immutable", False),
        labels=words.take("labels", {}),
        binary=words.take("binaryData", {}),
        full=words.take("bytesLeft"),
    )
    words.end()
    return given


def _whole_step(raw: Mapping[str, Any], shapes: Mapping[str, Any], where: str) -> Step:
    words = _Words(raw, f"{where}, again")
    step = _step(words, shapes, where)
    words.end()
    return step


def _step(words: _Words, shapes: Mapping[str, Any], where: str) -> Step:
    meanwhile = words.take("meanwhile")
    return Step(
        exit_status=words.need("exit"),
        status=_status(words.take("shape"), words.take("status"), shapes, where),
        log=_texts(words.take("log", ())),
        log_lacks=_texts(words.take("logLacks", ())),
        created=words.take("vmis"),
        meanwhile=None if meanwhile is None else _meanwhile(meanwhile, shapes, where),
        removes=tuple(words.take("removes", ())),
        changes=words.take("changes", {}),
    )


def _meanwhile(raw: Mapping[str, Any], shapes: Mapping[str, Any], where: str) -> Meanwhile:
    words = _Words(raw, f"{where}, meanwhile")
    shape, status = words.take("shape"), words.take("status")
    result = Meanwhile(
        when=words.need("when"),
        does=words.take("does", ""),
        status=None if shape is None and status is None else _keys(shape, status, shapes, where),
        owner=words.take("owner"),
        within_seconds=words.take("statusWithinSeconds"),
    )
    words.end()
    return result


def _status(
    shape: str | None, status: Mapping[str, str | None] | str | None, shapes: Mapping[str, Any], where: str
) -> Mapping[str, str] | str:
    if isinstance(status, str):
        if status not in (GONE, UNCHANGED) or shape is not None:
            raise ValueError(f"{where}: status {status!r}; valid are keys, {GONE} and {UNCHANGED}")
        return status
    if shape is None and status is None:
        raise ValueError(f"{where}: no status is expected")
    return _keys(shape, status, shapes, where)


def _keys(
    shape: str | None, status: Mapping[str, str | None] | None, shapes: Mapping[str, Any], where: str
) -> Mapping[str, str]:
    if shape is not None and shape not in shapes:
        raise ValueError(f"{where}: no shape {shape!r}; there are {', '.join(shapes)}")
    merged = {**(shapes[shape] if shape else {}), **(status or {})}
    kept = {key: value for key, value in merged.items() if value is not None}
    wrong = [key for key, value in kept.items() if not isinstance(value, str)]
    if wrong:
        raise ValueError(f"{where}: a ConfigMap holds strings only; quote {', '.join(wrong)}")
    return kept


def _texts(raw: str | Sequence[str]) -> tuple[str, ...]:
    return (raw,) if isinstance(raw, str) else tuple(raw)
