"""Bytes near other bytes: what a wire, a careless tool or somebody with intent makes of them."""

from random import Random

_MARKS = [
    b"\x00",
    b"\xff",
    b"\x30\x82\xff\xff",
    b"\x30\x80",
    b"\x7f",
    b"%2f",
    b"%",
    b", ",
    b"\n",
    b"X-Remote-User: root",
]


def mutated(data: bytes, random: Random) -> bytes:
    """One to four changes: a bit, a byte, a piece gone, doubled or moved, a length or a word in its place."""
    found = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(found) + 1)
        size = random.choice((1, 1, 2, 4, 16, len(found)))
        piece = bytes(found[at : at + size])
        match random.randrange(6):
            case 0 if at < len(found):
                found[at] ^= 1 << random.randrange(8)
            case 1 if at < len(found):
                found[at] = random.randrange(256)
            case 2:
                del found[at : at + size]
            case 3:
                found[at:at] = piece * random.choice((1, 2, 50))
            case 4:
                found[at : at + size] = random.choice(_MARKS)
            case _:
                to = random.randrange(len(found) + 1)
                found[to:to] = piece
        del found[1 << 16 :]
    return bytes(found)
