"""A real HTTP server on loopback that serves files well or badly, for tests of downloads."""

import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Asked(list):
    """Paths asked for; ``ranges`` are the Range headers."""

    def __init__(self):
        super().__init__()
        self.ranges = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        how, body = self.server.pages.get(self.path, ("404", b""))
        self.server.asked.append(self.path)
        self.server.asked.ranges.append(self.headers.get("Range"))
        getattr(self, f"send_{how}")(body)

    def start(self, length):
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def send_well(self, body):
        self.start(len(body))
        self.wfile.write(body)

    def send_rest(self, body):
        """Send what a Range asks for, as most servers can."""
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=")[:-1])
        if start == 0:
            return self.send_well(body)
        if start >= len(body):
            return self.send_error(416, "Range Not Satisfiable")
        self.send_response(206)
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        return self.wfile.write(body[start:])

    def send_slowly(self, body):
        self.server.over.wait(0.2)
        self.send_well(body)

    def send_404(self, body):
        self.send_error(404, "Not Found")

    def send_500(self, body):
        self.send_error(500, "Internal Server Error")

    def send_truncated(self, body):
        """Promise all, send half, hang up: also what a length that is too large looks like."""
        self.start(len(body))
        self.wfile.write(body[: len(body) // 2])

    def send_too_short_a_length(self, body):
        self.start(len(body) // 2)
        self.wfile.write(body)

    def send_chunks_without_end(self, body):
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body) // 2, body[: len(body) // 2]))
        self.close_connection = True

    def send_stalled(self, body):
        self.start(len(body))
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        self.server.over.wait(20)

    def send_dripping(self, body):
        """Send a byte now and then, so that no single wait is long."""
        self.start(len(body))
        self.drip(body)

    def send_dripping_headers(self, body):
        self.send_response(200)
        self.flush_headers()
        self.drip(b"X-More: " + bytes(body.hex(), "ascii"))

    def drip(self, body):
        for place in range(len(body)):
            self.wfile.write(body[place : place + 1])
            if self.server.over.wait(0.05):
                return

    def send_endless(self, body):
        """Send it again and again, without saying how long that will take."""
        self.send_response(200)
        self.end_headers()
        while not self.server.over.is_set():
            self.wfile.write(body)

    def send_to(self, target):
        """Redirect, with much to read beside."""
        self.send_response(302)
        self.send_header("Location", target.decode())
        self.end_headers()
        with suppress(OSError):  # the other side hangs up
            while not self.server.over.is_set():
                self.wfile.write(bytes(10**6))

    def send_deeper(self, body):
        """Redirect to ever new addresses."""
        self.server.pages[f"{self.path}x"] = ("deeper", b"")
        self.send_response(302)
        self.send_header("Location", f"{self.path}x")
        self.end_headers()

    def send_silence(self, body):
        self.server.over.wait(20)

    def log_message(self, *args):
        pass

    def handle(self):
        with suppress(ConnectionError):  # the other side hangs up
            super().handle()

    def finish(self):
        with suppress(ConnectionError):
            super().finish()


@contextmanager
def serving(**pages):
    """Serve ``name=(how, bytes)`` at ``/name``; yields the address and the paths asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.pages = {f"/{name}": page for name, page in pages.items()}
    server.asked, server.over = Asked(), threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.asked
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
