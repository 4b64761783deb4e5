"""OpenAPI 2 and 3: what is served, described for kubectl explain, generated clients and kube-apiserver.

Types and operations are written once, as plain dicts; the documents of both versions, and their protobuf
forms, are made of them. They depend on nothing but this build, so that every replica has the same ETags.
"""
