"""What a cluster does at its worst, done to a running server on purpose: `make faults` writes docs/reliability.md.

`kubelets` and `front` are what goes wrong and `world` puts the server between them; `scenarios` say how and what must
hold; `watcher` looks on as a client would; `page` writes down what it saw.
"""
