"""What a hostile caller sends, made from the contract's own descriptors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from genre_registry.v1 import genre_registry_pb2 as pb
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from hostile_frames import GREETING, PREFACE, REQUEST_HEADERS, frame
from hypothesis import strategies as st

DEPTH_MAX = 3
WORDS = (
    *("", "Rock", "rock", "Hip-Hop/R&B", "Rock; Pop", "\0", " ", "x" * 201, "\u202eRock", "(17)"),
    *("musicbrainz", "name", "aliases,parent_ids", "../x", "é" * 100, "grpc.health.v1.Health"),
)
TEXTS = st.one_of(st.sampled_from(WORDS), st.text(max_size=40))
BITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
}
UNKNOWN = st.lists(
    st.sampled_from(
        (
            b"\xf8\x7f\x01",  # field 2047, a number
            b"\xfa\x7f\x03abc",  # the same, bytes
            b"\xfb\x7f\xfc\x7f",  # a group, empty
            b"\xfd\x7f\x00\x00\x00\x00",
            b"\xf9\x7f" + bytes(8),
            b"\xf8\xff\xff\xff\x0f\x01",  # the highest number there is
        )
    ),
    min_size=1,
    max_size=20,
).map(b"".join)


@dataclass(frozen=True, slots=True)
class Odd:
    """The bytes of one message, and what is odd about them."""

    kind: str
    data: bytes


def methods() -> Iterator[MethodDescriptor]:
    """Give every RPC that is served."""
    for file in (pb.DESCRIPTOR, health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        for service in file.services_by_name.values():
            yield from service.methods


def path_of(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def odd(descriptor: Descriptor) -> st.SearchStrategy[Odd]:
    """Messages of *descriptor* with extreme values, and bytes that are nearly such messages."""
    whole = messages(descriptor, 0).map(lambda message: message.SerializeToString())
    return st.one_of(
        whole.map(lambda data: Odd("extreme values", data)),
        st.builds(lambda data, more: Odd("unknown fields", data + more), whole, UNKNOWN),
        # On the wire, a message twice over has its repeated fields twice as long.
        st.builds(
            lambda data, times: Odd("long repeats", (data * times)[: 3 << 20]),
            whole,
            st.sampled_from((2, 101, 1001, 3000)),
        ),
        st.builds(_cut, whole, st.integers(0, 200)),
        st.builds(_flipped, whole, st.integers(0, 10_000)),
        st.binary(max_size=60).map(lambda data: Odd("raw bytes", data)),
    )


def _cut(data: bytes, at: int) -> Odd:
    return Odd("cut short", data[: at % (len(data) + 1)])


def _flipped(data: bytes, at: int) -> Odd:
    flipped = bytearray(data or b"\n")
    flipped[at // 8 % len(flipped)] ^= 1 << at % 8
    return Odd("a flipped bit", bytes(flipped))


def messages(descriptor: Descriptor, depth: int) -> st.SearchStrategy[Message]:
    """Valid messages of *descriptor*, whatever their values."""
    fields = {
        field.name: values(field, depth)
        for field in descriptor.fields
        if depth < DEPTH_MAX or field.message_type is None
    }

    def message(chosen: Mapping[str, Any]) -> Message:
        return GetMessageClass(descriptor)(**chosen)

    return st.fixed_dictionaries({}, optional=fields).map(message)


def values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    """Values of *field*, as a message's constructor takes them."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return st.dictionaries(TEXTS, TEXTS, max_size=3)
    one = _one(field, depth)
    return st.lists(one, max_size=3) if field.is_repeated else one


def _one(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return messages(field.message_type, depth + 1)
    if field.cpp_type in BITS:
        least, most = BITS[field.cpp_type]
        few = st.sampled_from((0, 1, 2, 3, least, most))
        return st.one_of(st.integers(0, 30), few, st.integers(least, most))
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=40)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return TEXTS
    return st.floats(width=32)


def frames() -> st.SearchStrategy[bytes]:
    """HTTP/2 of a kind: frames of any kind, flags and stream, some of which lie on their length."""
    payloads = st.one_of(st.just(REQUEST_HEADERS), st.binary(max_size=40))
    one = st.builds(
        frame,
        st.integers(0, 12),
        st.sampled_from((0, 1, 2, 3, 5, 2**31 - 1)),
        payloads,
        st.integers(0, 255),
    )
    lying = st.builds(lambda data, cut: data[: max(1, len(data) - cut)], one, st.integers(1, 20))
    return st.builds(
        lambda start, parts: start + b"".join(parts),
        st.sampled_from((PREFACE, GREETING)),
        st.lists(st.one_of(one, one, one, lying), min_size=1, max_size=12),
    )
