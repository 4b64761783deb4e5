"""What a scenario came to, and whether that is what was promised. Values in, words out."""

from collections.abc import Collection, Sequence

import msgspec

from benchmarks.faults.watcher import Look, oldest_s, present

_CACHES_FILL_MIB = 16  # of a server that has only begun


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """What must hold. The defaults are those of every scenario in which kubelets misbehave for less than the time for
    which the last good sample is served."""

    served: float = 1.0  # the smallest share of the nodes that are hit
    oldest_s: float = 75.0  # of what is served of them: how long it goes wrong, and what it was old before
    others_age_s: float = 15.0  # resolution, the kubelet's interval, the request, one look
    recovers_within_s: float = 16.0  # the same, whole-second stamps, a tick of the schedule
    readyz: tuple[int, ...] = (200,)
    livez: tuple[int, ...] = (200,)
    lines_per_node: float = 6.0
    growth: float = 1.10  # of memory, over the whole run of all that goes wrong at once
    ages_count: bool = True  # false where the kubelet's own clock is wrong


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    nodes: int
    served: float
    oldest_s: float | None
    others_served: float
    others_oldest_s: float
    wrong: int
    readyz: tuple[int, ...]
    livez: tuple[int, ...]
    log_lines: int
    recovered_s: float | None
    rss_before_mib: float
    rss_after_mib: float
    broken: tuple[str, ...]  # of what was promised


def judged(
    title: str,
    promise: Promise,
    hit: Collection[str],
    others: Collection[str],
    looks: Sequence[Look],
    recovered_s: float | None,
    log_lines: int,
    rss_mib: tuple[float, float],
) -> Outcome:
    """`looks` are those from where it went wrong to where it was cured, `rss_mib` is before and after."""
    seen = Outcome(
        title=title,
        nodes=len(hit),
        served=present(looks, hit) if hit else 1.0,
        oldest_s=oldest_s(looks, hit) if promise.ages_count else None,
        others_served=present(looks, others) if others else 1.0,
        others_oldest_s=oldest_s(looks, others),
        wrong=max((look.wrong for look in looks), default=0),
        readyz=tuple(sorted({look.readyz for look in looks})),
        livez=tuple(sorted({look.livez for look in looks})),
        log_lines=log_lines,
        recovered_s=recovered_s,
        rss_before_mib=rss_mib[0],
        rss_after_mib=rss_mib[1],
        broken=(),
    )
    return msgspec.structs.replace(seen, broken=tuple(_broken(seen, promise)))


def _broken(seen: Outcome, promise: Promise) -> list[str]:
    held = {
        f"{seen.served:.0%} of the nodes hit were served": seen.served >= promise.served,
        f"what was served of them was {seen.oldest_s or 0:.1f} s old": (seen.oldest_s or 0)
        <= promise.oldest_s,
        f"{seen.others_served:.0%} of the other nodes were served": seen.others_served == 1,
        f"other nodes were {seen.others_oldest_s:.1f} s old": seen.others_oldest_s <= promise.others_age_s,
        f"{seen.wrong} values were wrong": seen.wrong == 0,
        f"/readyz said {seen.readyz}": set(seen.readyz) <= set(promise.readyz),
        f"/livez said {seen.livez}": set(seen.livez) <= set(promise.livez),
        f"{seen.log_lines} lines were logged": seen.log_lines <= promise.lines_per_node * max(seen.nodes, 1),
        "it never recovered": seen.recovered_s is not None,
        f"it recovered in {seen.recovered_s or 0:.1f} s": (seen.recovered_s or 0)
        <= promise.recovers_within_s,
        f"memory went from {seen.rss_before_mib:.0f} to {seen.rss_after_mib:.0f} MiB": (
            seen.rss_after_mib
            <= max(seen.rss_before_mib * promise.growth, seen.rss_before_mib + _CACHES_FILL_MIB)
        ),
    }
    return [what for what, holds in held.items() if not holds]
