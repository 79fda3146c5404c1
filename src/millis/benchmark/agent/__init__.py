"""Latency on another machine: training runs where the processors are, timing where the model will be deployed.

`server` runs on the device and measures with the same `Bench` that measures here; `client` takes a `Bench`'s place on
the training machine. They talk HTTP/1.1, JSON answers, a bearer token in every request. TLS is not spoken here: bind to
127.0.0.1 (the default) and come through an SSH tunnel, or put a reverse proxy before it and use its `https://` address.

    GET /v1/agent               who measures: millis' version, machine, packages, limits
    PUT /v1/blobs/SHA256        one file's bytes, kept under their checksum: what was sent once is not sent again
    PUT /v1/measurements/ID     manifests, texts (a blob) and options; 202, or 409 with the blobs that are missing
    GET /v1/measurements/ID     the measurements, or after some seconds that they are not there yet; 404: they are lost
"""
