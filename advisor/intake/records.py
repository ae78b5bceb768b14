"""Rows as they come: JSONL, JSON, CSV, TSV, Parquet or a data set of the hub."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advisor.data.json_object import kind_of, parse
from advisor.errors import AdvisorError, Faults

HUB = re.compile(
    r"hf://(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:/(?P<config>[\w.-]+))?(?:@(?P<revision>[\w./-]+))?"
)
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
LOOKED_AT = 50  # rows that decide which character separates the columns
CELL_LIMIT = 10_000_000  # characters; the csv module's own limit of 131,072 is below an e-mail


@dataclass(frozen=True, slots=True)
class Record:
    """One row, and where it stands, as `data.csv:3`."""

    where: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Records:
    """All rows of one source in its order, its columns, and in words how it was read."""

    rows: tuple[Record, ...]
    columns: tuple[str, ...]
    form: str


def read_records(source: str, *, encoding: str = "utf-8") -> Records:
    """Every row of a file or of `hf://owner/name[/config][@revision]`.

    Raises AdvisorError for what cannot be read, with the line where there is one, and for
    a source without rows. Nothing that a data set brings is executed.
    """
    if source.startswith("hf://"):
        return _hub(source)
    path = Path(source)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise AdvisorError(f"{path}: {what}", fix="name one file, or hf://OWNER/NAME")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise AdvisorError(f"{path}: {path.suffix or 'a name without ending'} is no known form",
                           fix=f"give a file that ends in one of: {', '.join(sorted(READERS))}")
    found = reader(path, encoding)
    if not found.rows:
        raise AdvisorError(f"{path}: has no rows", fix="give a file with one row for each example")
    return found


def _text(path: Path, encoding: str) -> str:
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"  # as spreadsheets save "Unicode text"
    try:
        return content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise AdvisorError(f"{path}:{line}: not {encoding} (byte {error.start})",
                           fix="save it as UTF-8, or say what it is: --encoding cp1252") from error
    except LookupError as error:
        raise AdvisorError(f"encoding {encoding!r} is not known",
                           fix="--encoding utf-8, cp1252 or latin-1") from error


def _jsonl(path: Path, encoding: str) -> Records:
    rows: list[Record] = []
    faults: list[str] = []
    # Only \n ends a line: U+2028 and its like may stand inside a string.
    for number, line in enumerate(_text(path, encoding).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append(Record(f"{path.name}:{number}", _object(parse(line))))
        except ValueError as error:
            faults.append(f"line {number}: {error}")
    if faults:
        raise Faults(str(path), faults, fix=f"correct these lines of {path}")
    return Records(tuple(rows), _columns(rows), "JSONL")


def _json(path: Path, encoding: str) -> Records:
    try:
        found = parse(_text(path, encoding))
    except ValueError as error:
        raise AdvisorError(f"{path}: not valid JSON: {error}", fix=f"correct {path}") from error
    if isinstance(found, dict):
        lists = [key for key, value in found.items() if isinstance(value, list)]
        if len(lists) != 1:
            raise AdvisorError(f"{path}: expected a list of rows, found an object",
                               fix="give a list of objects, or JSONL with one object a line")
        found = found[lists[0]]
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise AdvisorError(f"{path}: expected a list of objects, found {kind_of(found)}",
                           fix="give a list of objects, or JSONL with one object a line")
    rows = [Record(f"{path.name}[{index}]", one) for index, one in enumerate(found)]
    return Records(tuple(rows), _columns(rows), "JSON")


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"a row must be an object, found {kind_of(value)}")
    return value


def _csv(path: Path, encoding: str) -> Records:
    text = _text(path, encoding)
    csv.field_size_limit(CELL_LIMIT)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(text)
    rows: list[Record] = []
    faults: list[str] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    line = 1
    try:
        for cells in reader:
            at, line = line, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = _header(path, cells)
            elif len(cells) > len(header):
                faults.append(f"line {at}: {len(cells)} cells, but the first line names "
                              f"{len(header)} columns")
            else:
                rows.append(Record(f"{path.name}:{at}", dict(zip(header, cells, strict=False))))
    except csv.Error as error:
        raise AdvisorError(f"{path}:{line}: {error}",
                           fix=f"close the quotes in or before line {line}") from error
    if faults:
        raise Faults(str(path), faults,
                     fix="put cells that hold the separator between double quotes")
    return Records(tuple(rows), tuple(header), f"CSV with {DELIMITERS[delimiter]}")


def _header(path: Path, cells: Sequence[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not all(names):
        what = f"names {twice[0]!r} twice" if twice and twice[0] else "has a column without a name"
        raise AdvisorError(f"{path}:1: the first line {what}",
                           fix="give each column a name of its own in the first line")
    return names


def _delimiter(text: str) -> str:
    """The character that cuts the first rows into the same number of cells, and most of them."""
    def evenness(delimiter: str) -> tuple[float, int]:
        sizes = []
        try:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
            for cells, _ in zip(reader, range(LOOKED_AT), strict=False):
                if any(cells):
                    sizes.append(len(cells))
        except csv.Error:
            return 0.0, 0
        if not sizes or sizes[0] < 2:
            return 0.0, 0
        return sum(size == sizes[0] for size in sizes) / len(sizes), sizes[0]

    return max(DELIMITERS, key=evenness)


def _parquet(path: Path, encoding: str) -> Records:
    del encoding  # the form has its own
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as missing:
        raise AdvisorError(f"reading Parquet needs {missing.name}, which is not installed",
                           fix="pip install 'adaptation-advisor[data]'") from missing
    try:
        table = parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise AdvisorError(f"{path}: not readable as Parquet: {error}",
                           fix="write the file again, or give CSV or JSONL") from error
    rows = [Record(f"{path.name}[{i}]", one) for i, one in enumerate(table.to_pylist())]
    return Records(tuple(rows), tuple(table.column_names), "Parquet")


def _hub(source: str) -> Records:
    parts = HUB.fullmatch(source)
    if parts is None:
        raise AdvisorError(f"{source!r} names no data set",
                           fix="write hf://OWNER/NAME, hf://OWNER/NAME/CONFIG or ...@REVISION")
    local = Path(parts["name"])
    if local.is_dir():
        files = [p for p in sorted(local.rglob("*")) if p.suffix.lower() in READERS]
        if len(files) == 1:
            return read_records(str(files[0]))
        raise AdvisorError(f"{local}: a local copy with {len(files)} data files",
                           fix=f"name one of them, such as {local / 'train.parquet'}")
    try:
        import datasets
    except ModuleNotFoundError as missing:
        raise AdvisorError(f"a data set of the hub needs {missing.name}, which is not installed",
                           fix="pip install 'adaptation-advisor[data]'") from missing
    try:
        # Copies in the library's own cache are found without a network.
        loaded = datasets.load_dataset(
            parts["name"], parts["config"], split="train", revision=parts["revision"]
        )
    except Exception as error:  # the library raises many kinds; each means "not here"
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise AdvisorError(f"{source}: {reason[:200]}",
                           fix="check the name, the network and HF_TOKEN, or download the files "
                           "and name one") from error
    return of_dataset(loaded, parts["name"])


def of_dataset(loaded: Any, name: str) -> Records:
    """The rows of a `datasets.Dataset`; numbers of a class label become its names."""
    names = {column: feature.names for column, feature in loaded.features.items()
             if getattr(feature, "names", None)}
    rows = []
    for index, raw in enumerate(loaded):
        named = {key: names[key][value] if key in names and isinstance(value, int) and value >= 0
                 else value for key, value in raw.items()}
        rows.append(Record(f"{name}[{index}]", named))
    return Records(tuple(rows), tuple(loaded.column_names), "a data set of the hub, split train")


def _columns(rows: Sequence[Record]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for row in rows for key in row.values))


READERS: dict[str, Callable[[Path, str], Records]] = {
    ".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _json, ".csv": _csv, ".tsv": _csv,
    ".parquet": _parquet,
}


def as_text(value: Any) -> str:
    """One cell as text: numbers as they are written, objects as compact JSON, None as empty."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return str(value)


def filled(rows: Sequence[Record], column: str) -> Iterator[Any]:
    """The values of a column that are not empty."""
    return (row.values[column] for row in rows
            if column in row.values and as_text(row.values[column]))
