"""What is proven of whoever answers as a node's kubelet: the values of --kubelet-tls-verify, and plain HTTP below them."""

from enum import Enum


class Verification(Enum):
    ADDRESS = "address"
    NODE_NAME = "node-name"
    CHAIN = "chain"
    INSECURE = "insecure"
    HTTP = "http"

    @property
    def proves_the_node(self) -> bool:
        """Else another node can answer in its place."""
        return self in (Verification.ADDRESS, Verification.NODE_NAME)

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_MEANINGS = {
    Verification.ADDRESS: "their CA, and the address that is dialled",
    Verification.NODE_NAME: "their CA, and the name of the node",
    Verification.CHAIN: "their CA alone, so that any serving certificate of it is believed of any node",
    Verification.INSECURE: "nothing: whoever answers is believed, and is shown the token",
    Verification.HTTP: "nothing: over plain HTTP whoever is on the way is believed",
}
