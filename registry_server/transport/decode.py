"""Reading requests off the wire: bytes that are no message are the caller's mistake, and named."""

from collections.abc import Iterator
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

from registry_server.vocabulary.refusals import MessageMalformed, TextNotUtf8

Request = TypeVar("Request", bound=Message)

_LENGTH_DELIMITED = 2


def decode(request_class: type[Request], data: bytes) -> Request:
    """
    Return the request that *data* holds.

    Raises:
        TextNotUtf8: a string in it is not UTF-8; `field` says which.
        MessageMalformed: it is no such message at all.
    """
    try:
        return request_class.FromString(data)
    except DecodeError:
        pass
    for field in _not_utf8(request_class.DESCRIPTOR, data, ""):
        raise TextNotUtf8(field)
    raise MessageMalformed(
        f"The bytes are no {request_class.DESCRIPTOR.name}.", field=request_class.DESCRIPTOR.name
    )


def envelope_of(message_class: type[Message], field_name: str) -> type[Any]:
    """
    Return a class of messages that reads what *message_class* writes, but leaves the messages
    of one repeated field as the bytes they are: on the wire the two are the same.

    Source: https://protobuf.dev/programming-guides/encoding/, "Length-Delimited Records".
    """
    file = FileDescriptorProto()
    message_class.DESCRIPTOR.file.CopyToProto(file)
    [envelope] = [each for each in file.message_type if each.name == message_class.DESCRIPTOR.name]
    for field in envelope.field:
        if field.name == field_name:
            field.type = FieldDescriptorProto.TYPE_BYTES
            field.ClearField("type_name")
    alone = FileDescriptorProto(
        name=f"{envelope.name}.envelope",
        package="envelope",
        message_type=[envelope],
        syntax="proto3",
    )
    pool = DescriptorPool()
    pool.Add(alone)
    return GetMessageClass(pool.FindMessageTypeByName(f"envelope.{envelope.name}"))


def strings_of(request_class: type[Message], data: bytes, field_name: str) -> list[str]:
    """
    Return what one field of strings holds, read alone; a string that is not UTF-8 with
    its bad bytes as lone surrogates.
    """
    number = request_class.DESCRIPTOR.fields_by_name[field_name].number
    return [raw.decode("utf-8", "surrogateescape") for at, raw in _fields(data) if at == number]


def _not_utf8(descriptor: Any, data: bytes, path: str) -> Iterator[str]:
    """Give the path of each string in *data* that is not UTF-8: "tag_sets[3].values[0]"."""
    seen: dict[int, int] = {}
    for number, raw in _fields(data):
        field = descriptor.fields_by_number.get(number)
        if field is None:
            continue
        at = seen[number] = seen.get(number, -1) + 1
        name = f"{path}{field.name}[{at}]" if field.is_repeated else f"{path}{field.name}"
        if field.type == FieldDescriptor.TYPE_STRING:
            try:
                raw.decode("utf-8")
            except UnicodeDecodeError:
                yield name
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            yield from _not_utf8(field.message_type, raw, name + ".")


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    """Return the number and bytes of each length-delimited field; none if *data* is no message."""
    try:
        # A message without fields of its own keeps everything as unknown fields.
        unknown: Any = UnknownFieldSet(Empty.FromString(data))
    except DecodeError:
        return []
    return [
        (field.field_number, field.data)
        for field in unknown
        if field.wire_type == _LENGTH_DELIMITED
    ]
