"""Takes a connection away from the HTTP server, once the head of an answer is out, for a protocol of its own.

A task, a handler, a parser, a request with its headers: aiohttp keeps some ten KiB for each answer that is under way.
That is little for the time of a request, and most of what a stream costs that is open for hours and says nothing.
"""

import asyncio

from aiohttp import web


def take_over(request: web.Request, protocol: asyncio.Protocol) -> asyncio.Transport:
    """From here on the connection is `protocol`'s: what comes in, flow control, and its loss; nothing of the request
    can be used any more. To the server it is as if the client had left (`connection_lost` of its protocol, with no
    transport to close), so that it cancels the handler at its next await: there must be none.

    Raises `ConnectionResetError` when the client has left.
    """
    transport, server = request.transport, request.protocol
    if transport is None or transport.is_closing():
        raise ConnectionResetError
    transport.set_protocol(protocol)
    transport.resume_reading()  # should the body of the request have been too much for the server
    server.transport = None
    server.connection_lost(None)
    return transport
