"""A service that reads its settings once, when it starts, and answers with them."""

import http.server
import json
import pathlib
import sys

SETTINGS = json.loads((pathlib.Path(__file__).parent / "settings.json").read_text())


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(SETTINGS).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
