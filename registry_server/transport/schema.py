"""The contract as a file descriptor set, with everything it imports."""

from genre_registry.v1 import genre_registry_pb2
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_health.v1 import health_pb2


def protoset() -> bytes:
    """Return the contract and health's, as `protoc --include_imports` writes them."""
    files: dict[str, FileDescriptor] = {}

    def take(file: FileDescriptor) -> None:
        if file.name not in files:
            for imported in file.dependencies:
                take(imported)
            files[file.name] = file

    for module in (genre_registry_pb2, health_pb2):
        take(module.DESCRIPTOR)
    written = FileDescriptorSet()
    for file in files.values():
        file.CopyToProto(written.file.add())
    return written.SerializeToString()
