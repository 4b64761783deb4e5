from pymetrics_server.api.fragments import Fragments, Key


def kept(fragments: Fragments, key: Key) -> bytes:
    return fragments.get(key, key, key, lambda: key[1].encode())


def test_what_vanished_goes_with_the_next_full_list() -> None:
    alive = {("a", str(n)) for n in range(10)}
    fragments = Fragments(alive.__contains__)
    for key in sorted(alive):
        kept(fragments, key)
    alive.discard(("a", "3"))
    fragments.retain(9)
    assert len(fragments) == 9


def test_gets_alone_do_not_let_the_cache_grow_beyond_twice_what_exists() -> None:
    alive = {("a", str(n)) for n in range(100)}
    fragments = Fragments(alive.__contains__)
    most = 0
    for n in range(10_000):
        kept(fragments, ("gone", str(n)))
        most = max(most, len(fragments))
    assert most <= 1025


def test_what_lost_its_usage_is_not_kept() -> None:
    fragments = Fragments(lambda key: True)
    kept(fragments, ("a", "b"))
    fragments.drop(("a", "b"))
    assert len(fragments) == 0
