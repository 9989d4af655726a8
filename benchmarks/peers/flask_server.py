"""One request at a time on Flask's own server, as AttnGAN's ``eval/`` answers them."""

from __future__ import annotations

from flask import Flask, Response, request

from benchmarks.peers.start import Given, given, pngs
from models.pipeline import Item


def build(given: Given) -> Flask:
    app = Flask(__name__)
    pipeline = given.pipeline()

    @app.post("/predict")
    def predict() -> Response:
        asked = request.get_json()
        (data,) = pngs(pipeline, [Item(asked["text"], asked["seed"])])
        return Response(data, mimetype="image/png")

    return app


if __name__ == "__main__":
    result = given("benchmarks.peers.flask_server")
    build(result).run(host="127.0.0.1", port=result.port, threaded=False)
