"""Tensors of the Open Inference Protocol and their values, in JSON and in binary. No model here.

In JSON values are flat or nested as the shape says, and null is missing. In binary they are little-endian
without padding, a BOOL is one byte, each BYTES has its length before it in four bytes, and NaN is missing.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np

from serving.errors import InvalidRequest
from serving.scorer import shown

NUMBERS = {
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (64, 32, 16)},
    **{f"INT{bits}": np.dtype(f"<i{bits // 8}") for bits in (64, 32, 16, 8)},
    **{f"UINT{bits}": np.dtype(f"<u{bits // 8}") for bits in (64, 32, 16, 8)},
}


def _json_type(datatype: str) -> Any:
    if datatype in ("BOOL", "BYTES"):
        return {"BOOL": bool, "BYTES": str}[datatype]
    dtype = NUMBERS[datatype]
    if dtype.kind == "f":
        return float
    if datatype == "UINT64":  # msgspec's bounds end at 63 bits
        return Annotated[int, msgspec.Meta(ge=0)]
    limits = np.iinfo(dtype)
    return Annotated[int, msgspec.Meta(ge=int(limits.min), le=int(limits.max))]


_JSON_TYPES: dict[str, Any] = {name: _json_type(name) | None for name in (*NUMBERS, "BOOL", "BYTES")}


class Tensor(msgspec.Struct, forbid_unknown_fields=True):
    """One input of a request: a column of all rows."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: list[Any] | None = None

    @property
    def rows(self) -> int:
        """How many rows the shape says. Raises InvalidRequest if it is not that of a column."""
        match self.shape:
            case [rows] | [rows, 1] if rows >= 0:
                return rows
        raise self.wrong(f"got shape {shown(self.shape)}, expected [rows] or [rows, 1]")

    def values(self, binary: bytes | memoryview | None) -> list[Any]:
        """One value a row, None where it is missing; `binary` are the tensor's bytes, if they came so.

        Raises InvalidRequest.
        """
        if binary is None:
            return self._from_json()
        if self.data is not None:
            raise self.wrong("there are both data and binary_data_size")
        return self._texts(binary) if self.datatype == "BYTES" else self._numbers(binary)

    def wrong(self, what: str) -> InvalidRequest:
        """The complaint about this input."""
        return InvalidRequest(f"Input {shown(self.name)}: {what}.")

    def _from_json(self) -> list[Any]:
        values, kind = self.data, _JSON_TYPES[self.datatype]
        if values is None:
            raise self.wrong("there is neither data nor binary_data_size")
        if self.datatype == "FP16":
            raise self.wrong("FP16 has no form in JSON; send it in binary, or as FP32")
        if len(self.shape) == 2 and all(isinstance(value, list) and len(value) == 1 for value in values):
            values = [value for (value,) in values]
        if len(values) != self.rows:
            raise self.wrong(f"data has {len(values)} values, expected {self.rows} for shape {self.shape}")
        try:
            found: list[Any] = msgspec.convert(values, list[kind])  # type: ignore[valid-type]
            return found
        except msgspec.ValidationError:
            for place, value in enumerate(values):
                try:
                    msgspec.convert(value, kind)
                except msgspec.ValidationError:
                    raise self.wrong(
                        f"value {place} is {shown(value)}, expected one of {self.datatype}, or null"
                    ) from None
            raise

    def _numbers(self, data: bytes | memoryview) -> list[Any]:
        dtype = np.dtype(np.uint8) if self.datatype == "BOOL" else NUMBERS[self.datatype]
        expected = self.rows * dtype.itemsize
        if len(data) != expected:
            raise self.wrong(f"got {len(data)} bytes, expected {expected} for {self.datatype} of shape {self.shape}")
        values: list[Any] = np.frombuffer(data, dtype).tolist()
        if dtype.kind == "f":
            return [None if value != value else value for value in values]  # noqa: PLR0124 (NaN)
        return values

    def _texts(self, data: bytes | memoryview) -> list[Any]:
        values = []
        start, whole = 0, len(data)
        for place in range(self.rows):
            text = start + 4
            end = text + int.from_bytes(data[start:text], "little")
            if text > whole or end > whole:
                raise self.wrong(
                    f"value {place} ends past the {whole} bytes of the tensor; expected each text after its length "
                    "in four bytes, little-endian"
                )
            try:
                values.append(str(data[text:end], "utf-8"))
            except UnicodeDecodeError as error:
                raise self.wrong(f"value {place} is not in UTF-8 ({error})") from error
            start = end
        if start != whole:
            raise self.wrong(f"{whole - start} bytes are left after the last text")
        return values


def packed(datatype: str, values: list[Any]) -> bytes:
    """Values in binary."""
    if datatype == "BYTES":
        texts = [value.encode() for value in values]
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    if datatype == "BOOL":
        return bytes(values)
    return np.array(values, NUMBERS[datatype]).tobytes()
