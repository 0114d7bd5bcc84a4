"""Version 1 of the genre registry's contract: messages in `genre_registry_pb2`, stubs in
`genre_registry_pb2_grpc`. Both are generated from the `.proto` beside this file."""
