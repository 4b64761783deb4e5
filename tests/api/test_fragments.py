from pymetrics_server.api.fragments import Fragments, Key


def kept(fragments: Fragments, key: Key) -> bytes:
    return fragments.get(key, 0, key, key, lambda: key[1].encode())


def test_what_vanished_goes_while_others_are_encoded_anew() -> None:
    alive = {("a", str(n)) for n in range(10)}
    fragments = Fragments(lambda key: key in alive)
    for key in sorted(alive):
        kept(fragments, key)
    alive.discard(("a", "3"))
    for _ in range(2):  # two samples
        for key in sorted(alive):
            fragments.get(key, 0, object(), key, bytes)
    assert len(fragments) == 9


def test_the_cache_stays_small_whatever_comes_and_goes() -> None:
    alive = [("a", str(n)) for n in range(100)]
    fragments = Fragments(lambda key: key in alive)
    most = 0
    for n in range(10_000):
        alive[n % 100] = ("a", f"pod-{n}")
        kept(fragments, alive[n % 100])
        most = max(most, len(fragments))
    assert most <= 301


def test_what_lost_its_usage_is_not_kept() -> None:
    fragments = Fragments(lambda key: True)
    kept(fragments, ("a", "b"))
    fragments.drop(("a", "b"))
    assert len(fragments) == 0


def test_what_vanished_goes_whichever_form_is_asked_for() -> None:
    alive = [("a", str(n)) for n in range(100)]
    fragments = Fragments(lambda key: key in alive)
    for key in alive:
        kept(fragments, key)
    alive = [("b", str(n)) for n in range(100)]
    for usage in (object(), object()):
        for key in alive:
            fragments.get(key, 1, usage, key, bytes)
    assert len(fragments) == 100


def test_each_form_is_encoded_once_for_a_sample() -> None:
    fragments = Fragments(lambda key: True)
    forms = [fragments.get(("a", "b"), form, "usage", "labels", bytearray) for form in (0, 1, 0, 1)]  # type: ignore[arg-type]  # told apart by identity
    assert forms[0] is forms[2] is not forms[1]
    assert forms[1] is forms[3]
