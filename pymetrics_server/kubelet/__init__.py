"""One kubelet asked once: where it is, how it is trusted, one GET, and its answer decoded.

`client` alone touches the network; `address`, `summary` and `resource` are plain functions. A scrape ends in
a NodeSample or in one KubeletError that names why.
"""
