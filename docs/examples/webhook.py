"""Be notified of a job's end instead of waiting for it; every message is verified.

The service calls public https addresses only. Here it calls this program on this machine, which an
operator allows by these settings of the service:
MMML_WEBHOOK_ALLOW_HTTP=1 MMML_WEBHOOK_PORTS='[]' MMML_WEBHOOK_NETWORKS='["127.0.0.0/8"]'
"""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer

from mmml import BadSignature, Client, verify_webhook


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            verify_webhook(secret, dict(self.headers), body)
        except BadSignature:
            self.send_error(403)
            return
        self.send_response(204)
        self.end_headers()
        result = json.loads(body)
        print(result["type"], result["data"]["input"]["text"])

    def log_message(self, *_: object) -> None:
        pass


with Client() as mmml, HTTPServer(("127.0.0.1", 0), Receiver) as server:
    secret = mmml.webhook_secret()
    mmml.synthesize("a blue bird", webhook=f"http://127.0.0.1:{server.server_port}/hook")
    server.timeout = 60
    server.handle_request()
