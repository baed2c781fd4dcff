"""Write type stubs for the protobuf modules of xds-protos, which ships none, so that mypy checks every Envoy field.

Usage: python tools/xds_stubs.py FOLDER

The descriptors come from the installed modules themselves, so no .proto file and no protoc is needed: they are put into
the request that protoc would send to the two generators of mypy-protobuf.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor import FileDescriptor

# Typed by the types-protobuf package already.
TYPED_ELSEWHERE = "google/protobuf/"


def descriptors() -> dict[str, FileDescriptor]:
    """The descriptor of every file in xds-protos by its .proto name, each after the files it imports."""
    found: dict[str, FileDescriptor] = {}

    def add(descriptor: FileDescriptor) -> None:
        if descriptor.name in found:
            return
        for imported in descriptor.dependencies:
            add(imported)
        found[descriptor.name] = descriptor

    for file in metadata.files("xds-protos") or ():
        # The "test" package would collide with the one of CPython; nobody needs its types.
        if file.name.endswith("_pb2.py") and file.parts[0] != "test":
            add(importlib.import_module(".".join(file.with_suffix("").parts)).DESCRIPTOR)
    return found


def request_for(found: dict[str, FileDescriptor]) -> plugin_pb2.CodeGeneratorRequest:
    """What protoc would ask a generator for these files."""
    request = plugin_pb2.CodeGeneratorRequest(parameter="quiet")
    for descriptor in found.values():
        file = descriptor_pb2.FileDescriptorProto()
        descriptor.CopyToProto(file)
        request.proto_file.append(file)
    request.file_to_generate.extend(name for name in found if not name.startswith(TYPED_ELSEWHERE))
    return request


def generate(generator: str, request: plugin_pb2.CodeGeneratorRequest, folder: Path) -> int:
    """Run one generator, write its files and return their number."""
    program = Path(sys.executable).parent / generator
    answer = subprocess.run([program], input=request.SerializeToString(), stdout=subprocess.PIPE, check=True)
    response = plugin_pb2.CodeGeneratorResponse.FromString(answer.stdout)
    if response.error:
        sys.exit(f"{generator}: {response.error}")
    for file in response.file:
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content, encoding="utf-8")
    return len(response.file)


def main(folder: Path) -> None:
    """Replace the folder's content with fresh stubs."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    request = request_for(descriptors())
    count = generate("protoc-gen-mypy", request, fresh)
    services = [file.name for file in request.proto_file if file.service]
    request.ClearField("file_to_generate")
    request.file_to_generate.extend(services)
    count += generate("protoc-gen-mypy_grpc", request, fresh)
    # Swapped in whole: a reader never meets half a set.
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    print(f"{count} stubs in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
