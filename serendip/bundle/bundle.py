"""`Bundle`: a fitted pipeline with all it needs to answer, as one value and one directory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.bundle import content as files_of
from serendip.bundle import crossing, foretelling, golden, manifest, reasons, store, tensorfile
from serendip.bundle.ask import Answer, Desk, Request, checked_k, kinds_read_by, table
from serendip.bundle.attributes import Attributes
from serendip.bundle.content import Content
from serendip.bundle.crowd import Crowd, similar_items
from serendip.bundle.details import Details, details
from serendip.bundle.errors import BundleError
from serendip.bundle.filters import Filters
from serendip.bundle.golden import Golden
from serendip.bundle.ids import is_id, known_codes, listed
from serendip.bundle.manifest import Manifest
from serendip.bundle.onboarding import Interviewer
from serendip.bundle.options import Onboarding
from serendip.bundle.shelving import reads_time
from serendip.bundle.store import File
from serendip.data.dataset import Histories
from serendip.data.vocab import ExternalId, Vocab
from serendip.filter import Allowed, Filter
from serendip.pipeline import budgeted, lines, rerankers, retrievers, scoring
from serendip.rerank import Explore
from serendip.types import ABSENT, PROPENSITY, Queries, Recs, SerendipError, Stage, unpack_mask

if TYPE_CHECKING:
    from serendip.bundle.why import Why
    from serendip.data.dataset import Dataset
    from serendip.data.schema import Schema
    from serendip.model import Run
    from serendip.run import Start

ATTEMPTS = 20
"""How often a reader starts again when a writer has replaced what it was reading."""


@dataclass(frozen=True, eq=False, repr=False)
class Bundle:
    """A fitted pipeline with the vocabularies, items and histories it answers from.

    Attributes:
        manifest: what it is and where it came from.
        user_ids, item_ids: vocabularies.
        items: ``item_id``, ``title`` if the items have one, and their attributes; row i for code i.
        histories: who did what.
        pipeline: what answers.
        golden: made-up queries and what the pipeline answered when the bundle was built.
        attributes: features and what is known of users, where a scorer reads features.
        shown: bits of the items that may be shown at all (see `serendip.catalogue`), or None for all.
    """

    manifest: Manifest
    user_ids: Vocab
    item_ids: Vocab
    items: pl.DataFrame
    histories: Histories
    pipeline: Stage
    golden: Golden
    attributes: Attributes | None = None
    _learned: Mapping[str, File] = field(default_factory=dict)
    shown: NDArray[Any] | None = None

    @classmethod
    def build(
        cls,
        data: Dataset,
        pipeline: Stage,
        *,
        recipe: dict[str, Any] | None = None,
        evaluation: dict[str, Any] | None = None,
        learned: Mapping[str, Mapping[str, NDArray[Any]]] | None = None,
        schema: Schema | None = None,
        start: str | None = None,
    ) -> Bundle:
        """Put a fitted pipeline and the data it answers from together.

        Args:
            data: vocabularies, items and histories are taken from it.
            pipeline: made by `retrieve`, `rank`, `first_of` and `chain` of scorers fitted on the same vocabularies.
            recipe, evaluation: how it was made and how well it does, as JSON values.
            learned: by name of the scorer, what a later fit can begin with (`serendip.model.Model.learned`).
            schema: what the columns of the log mean by their own names; None: that of the data.
            start: version of the bundle that the fit went on from.

        Raises:
            SerendipError: a pipeline that knows other items than the data or cannot be stored; no JSON values.
        """
        for part in scoring(pipeline):
            if part.scorer.n_items != data.n_items:
                raise SerendipError(
                    f"A bundle's pipeline must know the {data.n_items} items of its data. Got {part.scorer.n_items} in "
                    f"{part.name!r} instead. Try: fit on the same data."
                )
        kept = {name: tensorfile.encode(tensors) for name, tensors in (learned or {}).items()}
        return cls._made(
            data, pipeline, kept, schema=schema or data.schema, start=start, recipe=manifest.plain("recipe", recipe),
            evaluation=manifest.plain("evaluation", evaluation),
        )  # fmt: skip

    @classmethod
    def load(cls, path: str | Path, *, verify: bool = True) -> Bundle:
        """Read a bundle. It need not be trusted to be whole: nothing in it is run.

        Args:
            path: its directory.
            verify: whether to compute the checksums of all files.

        Raises:
            BundleError: no bundle, of a newer format, or damaged; naming the file and what to try.
        """
        root = Path(path)
        text = store.read_manifest(root)
        for _ in range(ATTEMPTS):
            made = manifest.read(text, str(root / store.MANIFEST))
            try:
                content = store.read(root, made.version, made.files, verify=verify)
                return cls._of(made, files_of.decode(content, made.data))
            except BundleError:
                before, text = text, store.read_manifest(root)
                if text == before:
                    raise
        raise BundleError(f"{root} was replaced {ATTEMPTS} times while it was read. Try again when it is at rest.")

    def save(self, path: str | Path) -> Path:
        """Write the bundle to a directory, in place of the bundle there if there is one, all at once.

        Raises:
            BundleError: the directory holds something else, or cannot be written; what was there is unchanged.
        """
        files = self._files()
        entries = {name: store.entry(file) for name, file in files.items()}
        made = msgspec.structs.replace(self.manifest, version=manifest.version_of(entries), files=entries)
        store.write(Path(path), made.version, files, manifest.write(made))
        return Path(path)

    def check(self) -> None:
        """Ask for the golden replies again.

        Raises:
            BundleError: one is answered otherwise than when the bundle was built.
        """
        golden.replay(self.pipeline, self.golden)

    def queries(
        self,
        users: Any,
        *,
        k: int = 10,
        exclude_seen: bool = True,
        history: Sequence[Any] | None = None,
        exclude: Sequence[Any] | None = None,
        allow: Sequence[Any] | None = None,
        filter: str | Filter | None = None,
        attributes: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = None,
        events: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = None,
        time: int | Sequence[int] | None = None,
        explore: bool | int = False,
    ) -> Queries:
        """Translate external ids. ``1`` and ``"1"`` are the same id; ids that are not known are left out.

        Args:
            users: one id, or a list of ids; None stands for somebody unknown.
            k: how many items are wanted.
            exclude_seen: whether to leave out what a user has seen.
            history: item ids, oldest first, in place of the stored history: a list per user (None: as stored), or one
                list for a single user.
            exclude: item ids not to be shown: a list per user, or one list for all.
            allow: the only item ids that may be shown: a list per user (None: all), or one list for all.
            filter: what items must be like to be shown, such as ``category in ["a", "b"] and price < 20``; see
                `serendip.filter.parse`.
            attributes: what is known of who asks and of the moment, by the columns that features read: a mapping per
                user (None: nothing), or one for a single user. Of a known user it replaces what is stored, column by
                column.
            events: item ids, oldest first, by kind of event, of kinds that are not the target, in place of the stored
                events of that kind: a mapping per user (None: as stored), or one for a single user.
            time: when they ask (unix seconds), one for all or one per user; None: now, where a feature or a re-ranker
                reads it.
            explore: whether a re-ranker that explores leaves something to chance, so that the same request gets another
                list the next time; a whole number: so, but the same list for the same number. See
                `serendip.rerank.Explore`.

        Raises:
            SerendipError: ids, lists, attributes, events, times, k or explore of another form, ``allow`` without any
                item that is known, or a filter that cannot be read or does not fit the items.
        """
        return self._desk.request(
            users, k, exclude_seen=exclude_seen, history=history, exclude=exclude, allow=allow, filtered=filter,
            attributes=attributes, events=events, moments=time, explore=explore,
        ).queries()  # fmt: skip

    def answer(
        self,
        users: Any,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        history: Sequence[Any] | None = None,
        exclude: Sequence[Any] | None = None,
        allow: Sequence[Any] | None = None,
        filter: str | Filter | None = None,
        attributes: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = None,
        events: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = None,
        time: int | Sequence[int] | None = None,
        explore: bool | int = False,
        reasons: bool = False,
    ) -> Answer:
        """As `recommend` for the given users, with notes. See `queries` and `recommend` for the arguments."""
        request = self._desk.request(
            users, k, exclude_seen=exclude_seen, history=history, exclude=exclude, allow=allow, filtered=filter,
            attributes=attributes, events=events, moments=time, explore=explore,
        )  # fmt: skip
        frames, notes = zip(*(self._reply(request, rows, reasons) for rows in request.blocks()), strict=True)
        known = request.codes != ABSENT
        return Answer(pl.concat(frames), tuple(dict.fromkeys(chain(request.notes, *notes))), known)

    def recommend(
        self,
        users: Any = None,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        history: Sequence[Any] | None = None,
        exclude: Sequence[Any] | None = None,
        allow: Sequence[Any] | None = None,
        filter: str | Filter | None = None,
        attributes: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = None,
        events: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = None,
        time: int | Sequence[int] | None = None,
        explore: bool | int = False,
        reasons: bool = False,
    ) -> pl.DataFrame:
        """``user_id, item_id, [title], score, rank, source``, best first; scores are comparable within one source.

        With ``explore``, the column ``propensity`` says how likely each item was at its place; null where the re-ranker
        that explores was skipped.

        Args:
            users: one id, a list of ids (None in it: somebody unknown), or None: all users there are, unless there is a
                history or are attributes or events, which then are somebody unknown's.
            k, exclude_seen, history, exclude, allow, filter, attributes, events, time, explore: see `queries`.
            reasons: whether with further columns: ``sources`` (all that named the item, the first being the source),
                ``score.NAME`` (what each stage gave it, null where it gave nothing) and ``reason``, a short sentence.

        Raises:
            SerendipError: see `queries`.
        """
        if any(one is not None for one in (users, history, attributes, events)):
            return self.answer(
                users, k, exclude_seen=exclude_seen, history=history, exclude=exclude, allow=allow, filter=filter,
                attributes=attributes, events=events, time=time, explore=explore, reasons=reasons,
            ).frame  # fmt: skip
        how: dict[str, Any] = {"exclude_seen": exclude_seen, "exclude": exclude, "allow": allow, "filter": filter}
        return pl.concat(self.iter_recommend(k, **how, time=time, explore=explore, reasons=reasons))

    def iter_recommend(
        self,
        k: int = 10,
        *,
        block: int | None = None,
        exclude_seen: bool = True,
        exclude: Sequence[ExternalId] | None = None,
        allow: Sequence[ExternalId] | None = None,
        filter: str | Filter | None = None,
        time: int | Sequence[int] | None = None,
        explore: bool | int = False,
        reasons: bool = False,
    ) -> Iterator[pl.DataFrame]:
        """As `recommend` for all users, a block of users at a time, so that memory does not grow with their number.

        Args:
            block: how many users at a time; None: as many as their histories allow.
            k, exclude_seen, exclude, allow, filter, time, explore: see `queries`; one list for all.
            reasons: see `recommend`.

        Raises:
            SerendipError: see `queries`; a block below 1.
        """
        request = self._desk.everyone(
            k, exclude_seen=exclude_seen, exclude=exclude, allow=allow, filtered=filter, moments=time, explore=explore
        )
        return (self._reply(request, rows, reasons)[0] for rows in request.blocks(block))

    def similar_items(self, items: Any, k: int = 10) -> pl.DataFrame:
        """``item_id, similar_item_id, [title], score, rank, source``: the items most like the given ones.

        Args:
            items: one id or a list of ids.
            k: how many of each.

        Raises:
            SerendipError: an item that is not known, or no scorer in the pipeline that compares items.
        """
        codes = known_codes(self.item_ids, "items", listed("items", [items] if is_id(items) else items))
        wanted, allowed = checked_k(k), self.fitting(None)
        hidden = 0 if allowed is None else len(self.item_ids) - allowed.count
        recs = similar_items(self.pipeline, codes, min(wanted + hidden, len(self.item_ids)))
        if allowed is not None:
            shown = unpack_mask(allowed.bits, len(self.item_ids))[0]
            recs = recs.keep(shown[recs.items] & (recs.items != ABSENT)).top(wanted)
        return table(recs, self.item_ids.decode(codes), self.items, of="item_id", named="similar_item_id")

    def similar_users(self, users: Any, k: int = 10) -> pl.DataFrame:
        """``user_id, similar_user_id, score, rank, source``: the users most like the given ones.

        Where the model has no measure of its own, by the cosine of the users' vectors, which are solved for from all
        histories at the first call and kept.

        Args:
            users: one id or a list of ids.
            k: how many of each.

        Raises:
            SerendipError: a user who is not known, or no scorer in the pipeline that compares users.
        """
        codes = known_codes(self.user_ids, "users", listed("users", [users] if is_id(users) else users))
        recs, source = self._crowd.similar(codes, min(checked_k(k), len(self.user_ids)))
        frame = recs.frame(self.user_ids.decode(codes), self.user_ids.ids)
        frame.columns = [{"item_id": "similar_user_id"}.get(name, name) for name in frame.columns]
        return frame.with_columns(source=pl.lit(source))

    def explain(self, users: Any, items: Any, k: int = 3, *, history: Sequence[Any] | None = None) -> pl.DataFrame:
        """Why items are named to users, by the first model of the pipeline that has a score for them; one that ranks
        what others name has no say in that.

        The items of the history that add most to the score come first; one may count against. What all items of a
        history add sums to the score.

        Args:
            users: one id, or one per item.
            items: one id, or one per user; a single user goes with all items and the other way round.
            k: how many items of the history are named at most.
            history: as of `queries`, or one list of ids for all.

        Returns:
            ``user_id, item_id, score, history_item_id, [title], contribution, rank, source``; pairs in the order given,
            those that come from a model that cannot say why left out.

        Raises:
            SerendipError: ids that are not known, lists of unequal length, or no pair that a model can explain.
        """
        return reasons.explain(self._desk, self.pipeline, self.items, users, items, k, history)

    def why(
        self,
        user: Any,
        item: Any,
        k: int = 10,
        *,
        reasons: int = 3,
        exclude_seen: bool = True,
        history: Sequence[Any] | None = None,
        exclude: Sequence[Any] | None = None,
        allow: Sequence[Any] | None = None,
        filter: str | Filter | None = None,
        attributes: Mapping[str, Any] | None = None,
        events: Mapping[str, Any] | None = None,
        time: int | None = None,
        explore: bool | int = False,
    ) -> Why:
        """Why an item is at its place in the list that `recommend` gives somebody, or why it is not in it.

        The same stages are asked as there, and each says what it did with the item: what it does not get through, at
        which place of how many each model named it, what a ranker and what re-ranks made of that, and what carried the
        scores: items of the history and features.

        Args:
            user: one id, or None for somebody unknown.
            item: one id.
            k, exclude_seen, history, exclude, allow, filter, attributes, events, time, explore: see `queries`, of one
                user; with the same number for ``explore`` as there, it is the same list.
            reasons: how many items and features are named at most for each score.

        Raises:
            SerendipError: see `queries`; an item that is not known, or nothing said of somebody who is not.
        """
        from serendip.bundle.explaining import why

        return why(
            self._desk, self.answering, user, item, k, reasons, exclude_seen=exclude_seen, history=history,
            exclude=exclude, allow=allow, filtered=filter, attributes=attributes, events=events, moments=time,
            explore=explore,
        )  # fmt: skip

    def foretold(self, users: Any, items: Any, *, history: Sequence[Any] | None = None) -> pl.DataFrame:
        """What is foretold of users and items, task by task, by the ranker that scores them, else by the first model of
        the pipeline that does.

        Probabilities, expected counts, ratings and durations, each on the scale of its label, beside the score that
        they make; arguments as of `explain`.

        Returns:
            ``user_id, item_id, score, task, foretold, source``; pairs in the order given, those that come from a model
            that foretells nothing left out.

        Raises:
            SerendipError: ids that are not known, or lists of unequal length.
        """
        return foretelling.foretold(self._desk, self.pipeline, users, items, history)

    def onboarding(
        self,
        k: int = 5,
        *,
        liked: Sequence[Any] = (),
        not_liked: Sequence[Any] = (),
        not_known: Sequence[Any] = (),
        filter: str | Filter | None = None,
        options: Onboarding | None = None,
    ) -> pl.DataFrame:
        """What to ask somebody new next: ``item_id, [title], known, gain, rank, source``, best first.

        ``known`` is how likely they like or know it, given the answers so far; ``gain`` the share of what is not known
        of tastes that the answer tells. What they like is the ``history`` to recommend by.

        Args:
            k: how many; asked for one by one, each with the answers before it, they tell most.
            liked, not_liked, not_known: ids of the items that were answered so.
            filter: what items must be like to be asked about; see `queries`.
            options: how they are chosen; None: the defaults.

        Raises:
            SerendipError: k below 1, an item that is not known or answered twice, or a filter that does not fit.
        """
        answers = {"liked": liked, "not_liked": not_liked, "not_known": not_known}
        allowed, n = self.fitting(filter), len(self.items)
        may = np.ones(n, bool) if allowed is None else unpack_mask(allowed.bits, n)[0]
        return self._interviewer.questions(checked_k(k), answers, may, options or Onboarding())

    def crosses(self) -> pl.DataFrame:
        """Which two fields a ranker crosses how strongly, the strongest first: ``field, other, strength, source``.

        Raises:
            SerendipError: no model of the pipeline tells.
        """
        return crossing.table(self.pipeline)

    def update(
        self,
        events: Any,
        items: Any = None,
        users: Any = None,
        *,
        run: Run | None = None,
        encoding: str | None = None,
        strict: bool = False,
        rejects: str | Path | None = None,
    ) -> Bundle:
        """A bundle that has taken in new events, without a fit; this one stays as it is.

        Ids that are new are appended, histories go on, and rows of the items table are added or replaced. Scorers are
        brought up to date as their models know how (`serendip.model.Model.renew`); one that knows no way keeps what it
        knew, and cannot score new items. ``manifest.updates`` says what came in and which those are. Figures of an
        evaluation were those of the bundle before, and are left out.

        Args:
            events, items, users: read, checked and understood as those of the fit were.
            run: threads and seed.
            encoding, strict, rejects: as of `serendip.data.dataset.Dataset.from_frames`.

        Raises:
            SchemaError: with everything that is wrong with the new tables.
            SerendipError: a file that cannot be read; texts for ids where the known ones are integers; a scorer of a
                kind that cannot grow.
        """
        from serendip.bundle import updating

        how = {"encoding": encoding, "strict": strict, "rejects": rejects}
        found = updating.update(self.manifest, self._content, events, users, items, run, **how)
        after = found.change.after
        entry = manifest.Update(
            at=_now(),
            events=found.change.events,
            users=after.n_users - len(self.user_ids),
            items=after.n_items - len(self.item_ids),
            notes=found.notes,
        )
        return type(self)._made(
            after, found.pipeline, self._learned, start=self.manifest.start, schema=found.schema,
            recipe=self.manifest.recipe, evaluation={},
            updates=(*self.manifest.updates, entry),
        )  # fmt: skip

    def rescored(self, formula: str, name: str | None = None) -> Bundle:
        """A bundle whose score is another formula over what its tasks foretell; this one stays as it is.

        Nothing is learned anew. Figures of an evaluation were those of the formula before, and are left out.

        Args:
            formula: for example ``click * watch^0.5 - 3 * hide``; see `serendip.scorers.formula`.
            name: of the scorer; None: the only one of several tasks.

        Raises:
            BundleError: there is no such scorer.
            SerendipError: it is no formula over its tasks.
        """
        from serendip.bundle.rescoring import rescored

        return type(self)._of(*rescored(self.manifest, self._content, formula, name))

    def continued(self, data: Dataset) -> Dataset:
        """The log of these data after the one that the bundle knows: what a fit that goes on learns from.

        New ids come last. Events that both have count once, as the data have them: so a log in which kinds of events
        weigh otherwise takes the place of the one that was known. What the bundle does not keep is missing of older
        events: their kind, labels and context. Features stay as they were fitted for the bundle, if it has any.

        Raises:
            SerendipError: texts for ids where the known ones are integers; one log has times and the other has not.
        """
        from serendip.bundle import updating

        return updating.continued(self._content, data)

    def fitting(self, filter: str | Filter | None) -> Allowed | None:
        """The items that a filter allows and that may be shown at all; None: all of them.

        Raises:
            FilterError: no filter, or one that does not fit the items.
        """
        return self._desk.filters.allowed(filter)

    @cached_property
    def answering(self) -> Stage:
        """The pipeline, once it has made what a first answer has to wait for, where stages have a budget."""
        if budgeted(self.pipeline):
            golden.warm(self.pipeline, self.golden)
        return self.pipeline

    @cached_property
    def kinds_read(self) -> tuple[str, ...]:
        """The kinds of events, of those that are not the target, that a scorer reads beside the history."""
        return kinds_read_by(self.pipeline, self.histories)

    @property
    def explores(self) -> bool:
        """Whether a re-ranker leaves something to chance where it is asked to."""
        return any(isinstance(one.options, Explore) for one in rerankers(self.pipeline))

    @property
    def learned(self) -> tuple[str, ...]:
        """The scorers that a later fit can go on from: those of models that learn in epochs."""
        return tuple(self._learned)

    def start(self, data: Dataset, name: str | None = None) -> Start:
        """What a fit to these data can begin with: what was learned, and which of it is whose.

        Args:
            data: ids that the bundle knows keep what was learned of them.
            name: of the scorer; None: the only one that there is.

        Raises:
            BundleError: nothing was kept, not of this scorer, or the file is damaged.
        """
        from serendip.run import Start

        chosen = name or (self.learned[0] if len(self.learned) == 1 else "")
        if chosen not in self._learned:
            raise BundleError(
                f"A bundle must keep what {name or 'its model'} learned for a fit to go on from it. This one keeps "
                f"that of {', '.join(self.learned) or 'none'}. Models that learn in epochs leave it, such as lightgcn."
            )
        tensors = files_of.tensors_of(chosen, self._learned[chosen])
        return Start(chosen, tensors, self.user_ids.encode(data.user_ids.ids), self.item_ids.encode(data.item_ids.ids))

    def summary(self) -> dict[str, Any]:
        """What a person wants to know first, as plain values."""
        made = self.manifest
        return {
            "version": made.version,
            "format": made.format,
            "created": made.created,
            "serendip": made.serendip,
            **msgspec.to_builtins(made.data),
            "titles": "title" in self.items.columns,
            "sources": list(dict.fromkeys(part.name for part in retrievers(self.pipeline))),
            "stages": list(lines(self.pipeline)),
            "files": len(made.files),
            "bytes": sum(entry.bytes for entry in made.files.values()),
            "evaluation": made.evaluation,
        }

    def __repr__(self) -> str:
        names = " → ".join(dict.fromkeys(part.name for part in scoring(self.pipeline)))
        return f"Bundle({self.manifest.version}: {len(self.user_ids)} users, {len(self.item_ids)} items, {names})"

    @classmethod
    def _made(cls, data: Dataset, pipeline: Stage, learned: Mapping[str, File], **said: Any) -> Bundle:
        content = files_of.gather(data, pipeline, learned)
        entries = {name: store.entry(file) for name, file in files_of.encode(content).items()}
        made = Manifest(
            version=manifest.version_of(entries),
            created=_now(),
            serendip=manifest.package_version(),
            data=manifest.summary(data),
            index={part.name: part.index.stats for part in retrievers(pipeline) if part.index is not None},
            files=entries,
            **said,
        )
        return cls._of(made, content)

    @classmethod
    def _of(cls, made: Manifest, content: Content) -> Bundle:
        return cls(
            made,
            content.user_ids,
            Vocab(content.items["item_id"]),
            content.items,
            content.histories,
            content.pipeline,
            content.golden,
            content.attributes,
            content.learned,
        )

    def _files(self) -> dict[str, File]:
        if self.shown is not None:
            raise SerendipError("Live items are kept in their catalogue. Try: save the bundle that it was opened over.")
        return files_of.encode(self._content)

    @property
    def _content(self) -> Content:
        return Content(
            self.user_ids, self.items, self.histories, self.pipeline, self.golden, self.attributes, self._learned
        )

    @cached_property
    def _interviewer(self) -> Interviewer:
        return Interviewer(self.item_ids, self.items, self.histories)

    @cached_property
    def _crowd(self) -> Crowd:
        return Crowd(self.pipeline, self.histories, self.attributes)

    @cached_property
    def _desk(self) -> Desk:
        filters = Filters(self.items, self.shown)
        return Desk(
            self.user_ids, self.item_ids, self.histories, filters, self.attributes, self.kinds_read,
            reads_time(self.pipeline), self.explores,
        )  # fmt: skip

    def detailed(self, queries: Queries, recs: Recs) -> Details:
        """All that named each item of lists that the pipeline gave, what every stage gave it, and a reason."""
        return details(self.pipeline, queries, recs, self.items, self._used)

    @cached_property
    def _used(self) -> NDArray[np.bool_]:
        counts = np.bincount(self.histories.items, minlength=len(self.item_ids))
        return np.asarray(counts > 0)

    def _reply(self, request: Request, rows: slice, reasons: bool) -> tuple[pl.DataFrame, tuple[str, ...]]:
        queries = request.queries(rows)
        recs = self.answering(queries).top(request.k)
        more = self.detailed(queries, recs).columns() if reasons else []
        if queries.draw is not None and self.explores and PROPENSITY not in recs.columns:  # it was skipped
            more.insert(0, pl.Series(PROPENSITY, [None] * int(recs.counts.sum()), pl.Float32))
        return table(recs, request.users[rows], self.items, more=more), recs.notes


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
