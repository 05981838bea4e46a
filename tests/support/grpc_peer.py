"""gRPC on both sides of the gateway, over bytes, so that no protobuf is needed.

`server`: prints its port and serves until its standard input ends.
`client PORT AUTHORITY`: makes each kind of call through PORT and prints what came of it as one JSON object.
"""

import json
import sys
import threading
from concurrent import futures

import grpc

SERVICE = "chitty.Test"
# Longer than the read timeout that the tests set.
SILENCE = 1.2


def unary(request, context):
    context.send_initial_metadata((("x-initial", "first"),))
    context.set_trailing_metadata((("x-trailer", "last"), ("x-bin-trailer-bin", bytes(range(256)))))
    if request == b"metadata":
        return json.dumps(sorted([k, v if isinstance(v, str) else v.hex()] for k, v in context.invocation_metadata())).encode()
    return request[::-1]


def failing(_, context):
    context.set_trailing_metadata((("x-trailer", "of an error"),))
    context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not: this, 100% \u00fc")


def half(_, context):
    yield b"one"
    context.abort(grpc.StatusCode.DATA_LOSS, "half way")


def silent(_, context):
    for word in (b"one", b"two", b"three"):
        yield word
        threading.Event().wait(SILENCE)


def collect(requests, context):
    return b",".join(requests)


def chat(requests, context):
    for request in requests:
        yield b"re: " + request


def serve():
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Failing": grpc.unary_unary_rpc_method_handler(failing),
        "Half": grpc.unary_stream_rpc_method_handler(half),
        "Silent": grpc.unary_stream_rpc_method_handler(silent),
        "Collect": grpc.stream_unary_rpc_method_handler(collect),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
    }
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(None)


def metadata(pairs):
    return {k: v if isinstance(v, str) else v.hex() for k, v in pairs or ()}


def ended(call):
    return {
        "code": call.code().name,
        "details": call.details(),
        "initial": metadata(call.initial_metadata()),
        "trailing": metadata(call.trailing_metadata()),
    }


def unary_call(channel, name, request, **more):
    try:
        reply, call = channel.unary_unary(f"/{SERVICE}/{name}").with_call(request, timeout=20, **more)
        return {"reply": reply.decode("latin-1") if len(reply) < 10_000 else len(reply), **ended(call)}
    except grpc.RpcError as error:
        return ended(error)


def stream_call(channel, name, request):
    call = channel.unary_stream(f"/{SERVICE}/{name}")(request, timeout=20)
    got = []
    try:
        for message in call:
            got.append(message.decode())
    except grpc.RpcError:
        pass
    return {"got": got, **ended(call)}


def chat_call(channel):
    """Each message is sent only once the answer to the one before has come."""
    proceed = threading.Semaphore(1)

    def requests():
        for number in range(5):
            proceed.acquire(timeout=20)
            yield f"message {number}".encode()

    call = channel.stream_stream(f"/{SERVICE}/Chat")(requests(), timeout=20)
    got = []
    for message in call:
        got.append(message.decode())
        proceed.release()
    return {"got": got, **ended(call)}


def collect_call(channel):
    reply, call = channel.stream_unary(f"/{SERVICE}/Collect").with_call(
        iter([b"a", b"b", b"c"]), timeout=20
    )
    return {"reply": reply.decode(), **ended(call)}


def cancelled(channel):
    call = channel.unary_stream(f"/{SERVICE}/Silent")(b"", timeout=20)
    first = next(call).decode()
    call.cancel()
    return {"first": first, "code": call.code().name}


def ask(port, authority):
    options = (("grpc.default_authority", authority), ("grpc.enable_retries", 0))
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        sent = (("x-custom", "sent"), ("x-raw-bin", b"\x00\xff"))
        told = {
            "unary": unary_call(channel, "Unary", b"hello"),
            "metadata": unary_call(channel, "Unary", b"metadata", metadata=sent),
            "large": unary_call(channel, "Unary", b"x" * 3_000_000),
            "failing": unary_call(channel, "Failing", b""),
            "unknown": unary_call(channel, "NoSuchMethod", b""),
            "half": stream_call(channel, "Half", b""),
            "silent": stream_call(channel, "Silent", b""),
            "collect": collect_call(channel),
            "chat": chat_call(channel),
            "cancelled": cancelled(channel),
        }
    print(json.dumps(told))


def ask_once(port, authority):
    options = (("grpc.default_authority", authority), ("grpc.enable_retries", 0))
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        print(json.dumps(unary_call(channel, "Unary", b"hello")))


if __name__ == "__main__":
    {"server": serve, "client": ask, "once": ask_once}[sys.argv[1]](*sys.argv[2:])
