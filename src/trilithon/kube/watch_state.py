"""Decide what a watch does next, and what it says of what came: list, stream, resume, list again.

No IO: time is an argument, in seconds of any clock that only grows, and chance is given.
https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from trilithon.kube.backoff import Backoff
from trilithon.kube.discovery import KindMissing, KindWanted
from trilithon.kube.errors import ApiError, HistoryWentBack, KubeError, NotUnderstood, Unreachable, api_error
from trilithon.kube.events import Degraded, Event, Found, Gone, Missing, Restored, Rewound, Synced
from trilithon.kube.lists import PAGE_OBJECTS, page_of
from trilithon.kube.objects import ApiKind, ObjectHead, is_before
from trilithon.kube.transport import JSON, SILENCE_SECONDS, Request
from trilithon.kube.watch_lines import WatchLine, WatchLines, bookmark_of
from trilithon.kube.watch_objects import Decoder, WatchedObjects
from trilithon.kube.watch_steps import Fetch, Find, Pause, Step, Stream

# A stream is asked to last between these; a connection that died in silence is noticed when it should have ended.
SHORTEST_STREAM_SECONDS, LONGEST_STREAM_SECONDS = 30.0, 45.0
GRACE_SECONDS = 10.0
# A stream that begins with a list may need longer, and is ended from here.
LIST_STREAM_SECONDS = 600
# A stream that ends sooner than this, without a word, was refused in all but name.
HARDLY_SECONDS = 1.0
# One that lasts this long makes up for the failures before it.
STEADY_SECONDS = 5.0
# A kind that is missing is looked for this often, and a better version of one that is there.
MISSING_SECONDS, FIND_SECONDS = 5.0, 300.0
# A history that goes back once was restored; again within this, it is rather two, which take turns to answer.
REWIND_SECONDS = 300.0
# So many errors in a row to a stream from a version mean that the version is the matter.
VERSION_FAILURES = 3

T = TypeVar("T")

_HEAD = msgspec.json.Decoder(ObjectHead)


class Selection(Struct, frozen=True, kw_only=True):
    """Which objects of a kind: of one namespace (all if ""), with labels, with fields; or only their metadata."""

    namespace: str = ""
    labels: str = ""
    fields: str = ""
    is_metadata_only: bool = False

    def accept(self, *, as_list: bool) -> str:
        """The Accept header of a list or a stream.

        An API server answers a stream with the first form that it knows, and fails where that is a list's.
        """
        if not self.is_metadata_only:
            return JSON
        form = "PartialObjectMetadataList" if as_list else "PartialObjectMetadata"
        return f"application/json;as={form};g=meta.k8s.io;v=v1,{JSON}"


class WatchState(Generic[T]):
    """One watch. Whoever drives it does each ``step``, tells what came of it, and passes on the events.

    What raises KubeError meanwhile, here or in the doing, goes to ``failed``, and then there is a next step.
    """

    def __init__(
        self, wanted: KindWanted, decode: Decoder[T], selection: Selection, dice: random.Random | None = None
    ) -> None:
        self._wanted = wanted
        self._selection = selection
        self._dice = dice or random.Random()  # noqa: S311 - nothing secret is drawn
        # A server that was away for long and answers again is asked again soon, whatever it answers at first.
        self._backoff_away, self._backoff_refused = Backoff(self._dice), Backoff(self._dice)
        self._objects = WatchedObjects(decode)
        self._kind: ApiKind | None = None
        # The apiVersion in which objects were read last; "" if the kind was never served.
        self._read_as = ""
        self._find_at = 0.0
        self._is_finding = False
        self._pause_until = float("-inf")
        # The version up to which everything is known; "" before a list and when it is too old.
        self._version = ""
        # The same, and still known where all is listed again; "" if nothing says that versions go on from there.
        self._reached = ""
        self._version_failures = 0
        # After a failure it is uncertain whether this is still the server that gave the version.
        self._is_doubtful = False
        # Somebody wants a list, though there is a version to go on from.
        self.is_list_due = False
        self._rewound_at = float("-inf")
        self._page = ""
        self._is_unpaged = False
        self._can_stream_lists = True
        # What was said last of the kind as a whole: None while all is well.
        self._trouble: Degraded | Missing | Gone | None = None
        self._failures = 0
        self._was_not_found = False
        # The stream that is open, if one is; whether it began with a list, and whether that is still to be completed.
        self._lines: WatchLines | None = None
        self._begins_with_list = self._is_listing = False
        # Since when it tells of changes, and until when it should.
        self._live_at = self._over_at = 0.0
        self._is_heard = False

    # What to do.

    def step(self, now: float) -> Step:
        """The next thing to do."""
        if self.is_list_due:
            self._list_again()
        if self._pause_until > now:
            return Pause(self._pause_until - now)
        self._is_finding = self._kind is None or now >= self._find_at
        if self._is_finding:
            return Find()
        if self._version and self._is_doubtful:
            return Fetch(self._request(("limit", "1")))
        if self._version:
            seconds = self._dice.randint(int(SHORTEST_STREAM_SECONDS), int(LONGEST_STREAM_SECONDS))
            self._over_at = now + seconds + GRACE_SECONDS
            self._begins_with_list = self._is_listing = False
            return Stream(self._request(*_watching(seconds), ("resourceVersion", self._version)))
        if self._can_stream_lists:
            self._objects.begin()
            self._begins_with_list = self._is_listing = True
            initial = (("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan"))
            return Stream(self._request(*_watching(LIST_STREAM_SECONDS), *initial))
        if not self._page:
            self._objects.begin()
        limit = () if self._is_unpaged else (("limit", str(PAGE_OBJECTS)),)
        return Fetch(self._request(*limit, *((("continue", self._page),) if self._page else ())))

    def list_again(self) -> None:
        """List anew as the next thing, unless a list is under way; what is known stays known, and is not told again."""
        self.is_list_due = bool(self._version)

    def _request(self, *query: tuple[str, str]) -> Request:
        assert self._kind is not None  # noqa: S101 - every step but Find follows `found`
        chosen = self._selection
        selectors = (("labelSelector", chosen.labels), ("fieldSelector", chosen.fields))
        return Request(
            path=self._kind.path(chosen.namespace),
            query=(*query, *(each for each in selectors if each[1])),
            accept=chosen.accept(as_list=("watch", "true") not in query),
        )

    # What came of it.

    def found(self, kind: ApiKind | KindMissing, now: float) -> Iterator[Event[T]]:
        """The answer to Find."""
        if isinstance(kind, KindMissing):
            yield from self._missing(kind, now)
            return
        self._find_at = now + FIND_SECONDS * self._dice.uniform(0.8, 1.2)
        if kind == self._kind:
            return
        if self._read_as != kind.api_version:
            self._objects.forget_versions()
        self._kind, self._read_as = kind, kind.api_version
        self._list_again()
        yield Found(kind)

    def fetched(self, answer: bytes) -> Iterator[Event[T]]:
        """The answer to Fetch. Raises NotUnderstood, and ApiError where history went back."""
        page = page_of(answer)
        if self._version:
            self._is_doubtful = False
            if is_before(page.resource_version, self._version):
                # Another etcd, or an old copy of it: nobody would tell what is missing there.
                raise HistoryWentBack
            return
        for item in page.items:
            yield from self._objects.upsert(item)
        self._page = page.next_page
        if not page.next_page:
            yield from self._listed(page.resource_version)

    def opened(self, now: float) -> Iterator[Event[T]]:
        """The stream's answer has begun."""
        self._lines = WatchLines()
        self._live_at = now
        self._is_heard = False
        if not self._is_listing:
            yield from self._restored()

    def received(self, piece: bytes, now: float) -> Iterator[Event[T]]:
        """A piece of the stream. Raises ApiError for an ERROR in it, and NotUnderstood."""
        if self._lines is None:
            return
        for line in self._lines.received(piece):
            yield from self._line(line, now)

    def patience(self, now: float) -> float:
        """How many seconds to wait for the next piece; 0 when the stream has lasted long enough: say ``left``."""
        if self.is_list_due:
            return 0.0
        return SILENCE_SECONDS if self._is_listing else max(0.0, self._over_at - now)

    def silent(self, now: float) -> None:
        """Nothing came for as long as there was patience. Raises Unreachable if something should have."""
        if self._begins_with_list and not self._is_listing:
            self.left()
            return
        # A connection that died is trouble at once: what was missed since is not known.
        self._lines = None
        if self._is_listing:
            # Perhaps a server that does not know such lists, and will never say that this one is complete.
            self._can_stream_lists = False
            raise Unreachable(f"the API server did not complete a list: nothing came for {SILENCE_SECONDS:g} s")
        raise Unreachable(f"the API server did not end a stream that began {now - self._live_at:.0f} s ago")

    def left(self) -> None:
        """The stream was closed from here, because it has lasted long enough."""
        self._lines = None
        if self.is_list_due:
            return
        # Not even a bookmark: it may wait for versions that the server, from an old copy of its data, has yet to reach.
        self._is_doubtful |= not self._is_heard
        self._succeeded()

    def ended(self, now: float) -> None:
        """The server ended the stream. Raises Unreachable unless that was to be expected."""
        if self._is_listing:
            raise Unreachable("the API server ended a list before it was complete")
        if self._lines is not None and self._lines.is_cut:
            raise Unreachable("the API server ended a stream within an event")
        if not self._is_heard and now - self._live_at < HARDLY_SECONDS:
            raise Unreachable("the API server ends streams at once")
        self.left()

    def failed(self, error: KubeError, now: float) -> Iterator[Event[T]]:
        """What was to be done failed."""
        was_open, self._lines = self._lines is not None, None
        if self._is_forgivable(error, now):
            return
        if was_open and not self._is_listing and now - self._live_at >= STEADY_SECONDS:
            self._succeeded()
        self._page, self._is_listing = "", False
        self._is_doubtful = True
        if isinstance(error, HistoryWentBack):
            # What was known may never have come to be, and the same versions may come again with other content.
            self._objects.forget_versions()
            self._reached = ""
            yield Rewound()
        self._failures += 1
        self._judge_version(error)
        self._pause_until = now + self._wait_after(error)
        if self._is_no_trouble_yet(error, now, was_open=was_open):
            return
        yield from self._in_trouble(Degraded(str(error), error.is_forbidden))

    # What that means.

    def _line(self, line: WatchLine, now: float) -> Iterator[Event[T]]:
        self._is_heard = True
        match line.type:
            case "ADDED" | "MODIFIED":
                yield from self._objects.upsert(line.object)
                self._advance(line)
            case "DELETED":
                yield from self._objects.delete(line.object)
                self._advance(line)
            case "BOOKMARK":
                bookmark = bookmark_of(line)
                if not self._is_listing:
                    self._advance_to(bookmark.metadata.resource_version)
                elif bookmark.ends_list:
                    self._is_listing, self._live_at = False, now
                    self._over_at = now + self._dice.uniform(SHORTEST_STREAM_SECONDS, LONGEST_STREAM_SECONDS)
                    yield from self._listed(bookmark.metadata.resource_version)
            case "ERROR":
                raise api_error(0, bytes(line.object))
            case _:
                raise NotUnderstood("the API server sent an event of an unknown type")

    def _advance(self, line: WatchLine) -> None:
        """Objects of a list come in any order: only after it does each one's version say how far we are."""
        if self._is_listing:
            return
        try:
            version = _HEAD.decode(line.object).metadata.resource_version
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return
        self._advance_to(version)

    def _advance_to(self, version: str) -> None:
        if is_before(version, self._version):
            raise HistoryWentBack
        self._version = self._reached = version or self._version

    def _listed(self, version: str) -> Iterator[Event[T]]:
        if is_before(version, self._reached) or self._objects.is_rewound:
            # What of this list seemed to be known is to be told too.
            raise HistoryWentBack
        yield from self._objects.finish()
        self._version, self._reached, self._page = version, version, ""
        self._is_doubtful = self._is_unpaged = False
        # The waiting goes on growing all the same until a stream holds.
        self._failures = 0
        yield Synced(len(self._objects), self._objects.newcomers)
        yield from self._restored()

    def _missing(self, kind: KindMissing, now: float) -> Iterator[Event[T]]:
        self._kind = None
        self._list_again()
        self._pause_until = now + MISSING_SECONDS * self._dice.uniform(0.8, 1.2)
        yield from self._in_trouble(Gone(str(kind)) if self._read_as else Missing(str(kind)))

    def _in_trouble(self, trouble: Degraded | Missing | Gone) -> Iterator[Event[T]]:
        if trouble != self._trouble:
            self._trouble = trouble
            yield trouble

    def _restored(self) -> Iterator[Event[T]]:
        if self._trouble is not None:
            self._trouble = None
            yield Restored()

    def _succeeded(self) -> None:
        self._failures = self._version_failures = 0
        self._backoff_away.reset()
        self._backoff_refused.reset()

    def _wait_after(self, error: KubeError) -> float:
        if isinstance(error, Unreachable):
            return self._backoff_away.failed()
        return self._backoff_refused.failed(error.retry_after if isinstance(error, ApiError) else None)

    def _list_again(self) -> None:
        self._version = self._page = ""
        self.is_list_due = False
        self._version_failures = 0

    def _is_forgivable(self, error: KubeError, now: float) -> bool:
        """Whether there is another way at once."""
        if self._is_finding and self._kind is not None:
            # Only the search for a better version failed.
            self._find_at = now + FIND_SECONDS
            return True
        if not isinstance(error, ApiError) or self._version:
            return False
        if self._can_stream_lists and self._is_listing and error.status in (400, 405, 406, 422, 501):
            # Streaming lists are off, or unknown.
            self._can_stream_lists = self._is_listing = False
            return True
        if error.is_expired and self._page:
            # Pages are given for as long as etcd keeps their version; a slow reader takes all of them in one.
            self._page, self._is_unpaged = "", True
            return True
        return False

    def _is_no_trouble_yet(self, error: KubeError, now: float, *, was_open: bool) -> bool:
        """Whether this is part of every watch's life, and only the next attempt says whether something is wrong."""
        was_not_found, self._was_not_found = self._was_not_found, False
        if isinstance(error, Unreachable):
            # Servers restart, and connections break.
            return was_open and self._failures == 1
        if not isinstance(error, ApiError):
            return False
        if error.status == 404:
            # What is found next says whether the kind is gone.
            self._was_not_found = True
            return not was_not_found
        # History is compacted, or another; a list makes up for it.
        if isinstance(error, HistoryWentBack):
            before, self._rewound_at = self._rewound_at, now
            return now - before >= REWIND_SECONDS
        return error.is_expired and self._failures == 1

    def _judge_version(self, error: KubeError) -> None:
        """Whether there is anything left to resume from."""
        if isinstance(error, NotUnderstood):
            # An event was lost that the server will not repeat in a form that is understood.
            self._list_again()
        if not isinstance(error, ApiError):
            return
        if error.status == 404:
            self._find_at = float("-inf")
            self._list_again()
        elif error.is_expired or error.status in (400, 405, 406, 422):
            self._list_again()
        elif error.status not in (401, 403, 429):
            self._version_failures += 1
            if self._version_failures >= VERSION_FAILURES:
                self._list_again()


def _watching(seconds: int) -> tuple[tuple[str, str], ...]:
    return (("watch", "true"), ("allowWatchBookmarks", "true"), ("timeoutSeconds", str(seconds)))
