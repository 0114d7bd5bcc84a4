"""
Records of an export or an import, as plain dicts: one JSON object a line.

A record is the contract's `Record` in protobuf's JSON form, with the field names of the
contract, and with ids and revisions as numbers: `{"genre": {"id": 7, "name": "Dub"}}`. What
is zero, empty or false is left out. There and back again changes nothing.
"""

from typing import Any

from genre_registry.v1 import genre_registry_pb2 as pb
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from worker_client._errors import InvalidRequest

KINDS = tuple(field.name for field in pb.Record.DESCRIPTOR.oneofs_by_name["kind"].fields)
"""What a record may be: "registry", "pack", "genre" and so on."""


def dict_of(record: pb.Record) -> dict[str, Any]:
    """Return *record* as a dict that JSON can hold."""
    held = json_format.MessageToDict(record, preserving_proto_field_name=True)
    _make_numbers(held, pb.Record.DESCRIPTOR)
    return held


def record_of(held: dict[str, Any], *, field: str = "record") -> pb.Record:
    """
    Return the record that `dict_of` makes *held* of; ids may be texts of digits too.

    Args:
        field: What to call the record in an error.

    Raises:
        InvalidRequest: *held* is no record; RECORD_INVALID, and `field` says where.
    """
    if not isinstance(held, dict):
        raise _invalid(field, f"a record is an object, and this is {held!r:.100}")
    try:
        record = json_format.ParseDict(held, pb.Record())
    except json_format.ParseError as error:
        raise _invalid(*_fault(held, pb.Record.DESCRIPTOR, field, error)) from None
    if record.WhichOneof("kind") is None:
        raise _invalid(field, f"a record holds one of {', '.join(KINDS)}")
    return record


def _invalid(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {message}.", reason="RECORD_INVALID", field=field)


def _make_numbers(held: dict[str, Any], kind: Descriptor) -> None:
    """Turn the texts that protobuf's JSON has for 64-bit numbers into numbers, in place."""
    for name, value in held.items():
        field = kind.fields_by_name[name]
        if field.type == FieldDescriptor.TYPE_INT64:
            held[name] = [*map(int, value)] if isinstance(value, list) else int(value)
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, dict):  # a time is a text
                    _make_numbers(each, field.message_type)


def _fault(held: Any, kind: Descriptor, path: str, error: Exception) -> tuple[str, str]:
    """Return which field of *held*, which is no *kind*, is at fault at *path*, and why."""
    if not isinstance(held, dict):
        return path, f"an object is wanted, and this is {held!r:.100}"
    for name, value in held.items():
        # What is wrong alone is the fault, or holds it.
        try:
            json_format.ParseDict({name: value}, GetMessageClass(kind)())
        except json_format.ParseError as own_error:
            place = f"{path}.{name}"
            field = kind.fields_by_name.get(name) or kind.fields_by_camelcase_name.get(name)
            if field is None:
                return place, f"there is no such field, only {', '.join(kind.fields_by_name)}"
            inner = field.message_type
            if inner is None or inner.file is not kind.file or inner.GetOptions().map_entry:
                return place, f"{value!r:.100} can't be its value"
            if isinstance(value, list):
                return _fault_of_many(value, inner, place, own_error)
            return _fault(value, inner, place, own_error)
    return path, str(error).partition("\n")[0].removesuffix(".")


def _fault_of_many(
    values: list[Any], kind: Descriptor, path: str, error: Exception
) -> tuple[str, str]:
    """Return what `_fault` does, for the first of *values* that is no *kind*."""
    for at, value in enumerate(values):
        try:
            json_format.ParseDict(value, GetMessageClass(kind)())
        except (json_format.ParseError, TypeError, AttributeError) as own_error:
            return _fault(value, kind, f"{path}[{at}]", own_error)
    return path, str(error).partition("\n")[0].removesuffix(".")
