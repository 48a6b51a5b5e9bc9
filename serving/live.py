"""The model that is served at the moment, and its replacement while requests go on."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

from bundle import BundleError, BundleNotFound, Store
from bundle.drift import read_baseline
from serving.dialects import mount
from serving.errors import NotReady
from serving.exchange import Mounted
from serving.keys import KeyRing
from serving.scorer import Scorer
from serving.settings import Settings
from serving.shadow import Shadow
from serving.telemetry import Telemetry

log = logging.getLogger("homeport.serving")

WATCH_SECONDS = 0.25


class Live:
    """The champion, verified and warm, behind its dialects.

    A request takes one `Mounted` and stays with it, so no answer mixes two models. A new champion is
    loaded beside the old one, which serves until then, and on if the new one is refused.
    """

    mounted: dict[str, Mounted]  # by path; replaced as a whole

    def __init__(self, settings: Settings, keys: KeyRing, telemetry: Telemetry | None = None) -> None:
        """With telemetry, what each version answers is counted there."""
        self._settings = settings
        self._telemetry = telemetry
        self._store = Store(settings.models)
        self._keys = keys
        self._tried: object = None
        self._verdict = ""  # why what was tried last is refused
        self._end = threading.Event()
        self._shadow: Shadow | None = None
        self._compared: object = None
        self.refused = ""  # why the champion is not what is served
        self._put(NotReady("The model is being loaded."))
        self.refresh()

    def refresh(self) -> None:
        """Serve the champion, if it is another one than at the last look."""
        try:
            folder = self._champion()
            found = folder, sorted((path.name, path.stat().st_mtime_ns) for path in folder.iterdir())
            if found != self._tried:
                self._tried, self._verdict = found, ""
                try:
                    self._serve(self._load(folder), folder)
                except Exception as error:  # whatever is wrong with it, the old one goes on
                    self._verdict = _reason(error, folder.name)
                    if isinstance(error, OSError) or isinstance(error.__cause__, OSError):
                        self._tried = None  # what cannot be read may be readable in a moment, as it is
            if self._verdict:
                raise BundleError(self._verdict)
        except (BundleError, OSError) as error:
            self._refuse(str(error))
        else:
            self.refused = ""
        self._follow_challenger()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Look for a new champion and new keys in a thread, until the end of the context."""
        thread = threading.Thread(target=self._watch, name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._end.set()
            thread.join()
            self._end_comparison()

    @property
    def pinned(self) -> bool:
        """Whether one model is served by its name, and not whichever was promoted last."""
        return bool(self._settings.model)

    def _watch(self) -> None:
        while not self._end.wait(WATCH_SECONDS):
            try:
                self._keys.refresh()
                self.refresh()
            except Exception:
                log.exception("the look for a new champion failed")

    def _champion(self) -> Path:
        names = [self._settings.model] if self._settings.model else self._store.names()
        if not names:
            raise BundleNotFound(f"There is no model in {self._store.root}. Train one with `homeport train`.")
        return self._store.champion_path(names[0])

    def _load(self, folder: Path) -> Scorer:
        return Scorer(folder, self._settings.max_rows, compiled=self._settings.kernel == "auto")

    def _serve(self, scorer: Scorer, folder: Path) -> None:
        self.refused = ""
        if self._telemetry:
            self._telemetry.follow(scorer, read_baseline(folder))
        self._put(scorer)
        log.info("serving %s version %s from %s", scorer.manifest.name, scorer.manifest.version, folder)
        del scorer
        _return_memory()

    def _follow_challenger(self) -> None:
        """Start, change or end the comparison with a challenger as its pointer says."""
        champion = self.served
        if isinstance(champion, NotReady):
            return
        name, version = champion.manifest.name, champion.manifest.version
        challenger, problem = None, ""
        try:
            challenger = self._store.challenger(name)
        except BundleError as error:
            problem = str(error)
        if (wanted := (self._tried, challenger, problem)) == self._compared:
            return
        self._compared = wanted
        self._end_comparison()
        if challenger is not None and challenger.version != version:
            try:
                other = self._load(self._store.path(name, challenger.version))
                baseline = read_baseline(self._store.path(name, version))
            except Exception as error:  # whatever is wrong with it, the champion goes on alone
                problem = _reason(error, challenger.version)
            else:
                self._shadow = Shadow(champion, other, challenger.share, baseline, self._settings.shadow)
                champion.observers = (*champion.observers, self._shadow.offer)
                log.info("%s %s scores %.0f %% of the traffic too", name, challenger.version, challenger.share * 100)
        if problem:
            log.error("there is no comparison with a challenger: %s", problem)

    def _end_comparison(self) -> None:
        if self._shadow is not None:
            if isinstance(self.served, Scorer):
                self.served.observers = tuple(one for one in self.served.observers if one != self._shadow.offer)
            self._shadow.stop()
            self._shadow = None

    def _put(self, scorer: Scorer | NotReady) -> None:
        mounted = mount(scorer, self._settings)
        if self._telemetry:
            self._telemetry.choose(mounted.values())
        self.mounted = mounted
        self.served: Scorer | NotReady = scorer  # last: who reads here that it is ready is answered by it

    def _refuse(self, reason: str) -> None:
        if reason == self.refused:
            return
        self.refused = reason
        if isinstance(self.served, NotReady):
            log.error("not ready: %s", reason)
            self._put(NotReady(reason))
        else:
            manifest = self.served.manifest
            log.error("%s version %s stays: the champion is refused: %s", manifest.name, manifest.version, reason)


def _reason(error: Exception, version: str) -> str:
    """Why a version is not loaded. Errors of other packages do not say what they were about."""
    return str(error) if isinstance(error, BundleError | OSError) else f"version {version} cannot be loaded: {error!r}"


def _return_memory() -> None:
    """Free the model before this one, and hand back what loading needed for a moment: glibc keeps it."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
