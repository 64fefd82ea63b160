//! Bugs on purpose: each makes one place of the append core wrong, so that the tests can prove that they would see it.
//!
//! Only with the feature `planted-bugs` can one be planted. Without it [`is`] is a constant `false` and the wrong branch
//! is not compiled in. One bug at a time, for the calling thread alone: a simulation runs on one thread.

macro_rules! bugs {
    ($($(#[doc = $what:literal])+ $name:ident,)+) => {
        /// What can be planted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Bug {
            $($(#[doc = $what])+ $name,)+
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// What is wrong with it.
            pub fn what(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($what),+).trim_ascii(),)+
                }
            }
        }
    };
}

bugs! {
    /// Appends of windows in flight are not seen when the next one is judged.
    VersionsInFlightUnseen,
    /// The expected version is not compared.
    ExpectedVersionIgnored,
    /// A stream beyond the expected version is good enough.
    ExpectedVersionAtLeast,
    /// The expected version is compared with the last committed one, not with what is in flight.
    ExpectedVersionOfCommitted,
    /// A request that was answered before is appended again.
    RepeatAppendedAgain,
    /// A request that was forgotten is not recognised by its events.
    OwnEventsUnrecognised,
    /// A request that is still in flight is not recognised.
    RepeatInFlightUnseen,
    /// The same key with another payload gets the first one's answer.
    OtherPayloadRepeated,
    /// The same key for another stream gets the first one's answer.
    OtherStreamRepeated,
    /// A lost window's versions count as given.
    LostVersionsKept,
    /// A commit does not move the version on.
    CommittedVersionForgotten,
    /// A commit wipes out what a later window gave to the same stream.
    LaterWindowForgotten,
    /// The place of a remembered answer is not filled in after the commit.
    RememberedOffsetMissing,
    /// Of a request with several events only the first is remembered.
    RememberedEventsMissing,
    /// Learning from the log takes only the first event of a request.
    LearnedEventsMissing,
    /// Learning from the log adds nothing to the fingerprint of a request's later events.
    LearnedFingerprintShort,
    /// The first version learned of a stream stays.
    LearnedVersionStale,
    /// Requests are forgotten a hundred thousand times too early.
    RequestsExpireEarly,
    /// The answer tells the first version as the last.
    AnswerEndsAtFirst,
    /// The answer tells the offset of the first event.
    AnswerOffsetOfFirst,
    /// The second event of an append gets the version of the first.
    SecondEventSameVersion,
    /// The last event of an append is left out of the transaction.
    LastEventLeftOut,
    /// The idempotency key is not written to the log.
    RequestIdUnwritten,
    /// An append that conflicts is written all the same.
    ConflictWritten,
    /// A command that conflicts gets no reply.
    ConflictUnreplied,
    /// A command gets two replies.
    ReplyTwice,
    /// The reply to a conflict says accepted.
    ConflictRepliedAccepted,
    /// The commands' offset goes one too far.
    CommandOffsetTooFar,
    /// The commands' offset is not committed.
    CommandOffsetLeftOut,
    /// The commands' offset covers commands that still wait.
    CommandOffsetFirst,
    /// A conflict with a window in flight is answered before that window commits.
    ConflictAnsweredEarly,
    /// A conflict with a writer who is ahead is told from memory.
    StaleConflictUnconfirmed,
    /// A repeat of a window in flight is answered before that window commits.
    RepeatAnsweredEarly,
    /// Events and replies change places in the transaction, not in the answers.
    RepliesBeforeEvents,
    /// The answers of appends that came together are told in reverse.
    AnswersReversed,
    /// A failed commit counts as done.
    FailedCommitIgnored,
    /// A commit without an answer counts as done.
    UnknownIsCommitted,
    /// A commit without an answer counts as aborted: nothing is read back.
    UnknownIsAborted,
    /// What became of a lost window is told without looking.
    LostWindowRefused,
    /// A window is answered when it is staged.
    AnsweredWhenStaged,
    /// A window does not wait until the one before it is staged.
    StagedOutOfOrder,
    /// A window does not wait until the one before it has committed.
    CommittedOutOfOrder,
    /// A window commits although the one before it was lost.
    CommittedWithoutPredecessor,
    /// Reading back begins too late.
    ReadBackTooLate,
    /// All lanes are opened at once, so that two who do so may have some of them each.
    LanesOpenedAtOnce,
    /// Reading back goes on with the old lanes.
    ReadBackUnfenced,
    /// Commands of a window that did commit are judged again.
    CommittedCommandsJudgedAgain,
    /// A fenced owner says that nothing was stored.
    FencedSaysFailed,
    /// A new owner reads the log before it fences the old one.
    ReadBeforeFence,
    /// A new owner learns before it fences the old one which command is next.
    CommandOffsetBeforeFence,
    /// A new owner starts to read behind the watermark.
    ReadBehindWatermark,
    /// A new owner does not learn the requests in the log.
    TailRequestsSkipped,
    /// A new owner does not learn the requests in the archive.
    ArchivedRequestsSkipped,
    /// A new owner does not learn the versions in the archive.
    ArchivedVersionsSkipped,
    /// A new owner does not keep what the archive lacks.
    TailNotKept,
    /// The last event of a window does not reach the tail.
    TailDropsLast,
    /// A read to the end does not wait for open transactions.
    ReadUnsettled,
    /// The log lets a late end of a transaction end the next one, as before protocol v2.
    StrayEndHitsNextTransaction,
    /// The log lets a late write join the next transaction, as before protocol v2.
    StrayWriteJoinsNextTransaction,
}

#[cfg(feature = "planted-bugs")]
std::thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug for the calling thread in place of the one before, or pulls it up.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether this bug is planted.
#[cfg(feature = "planted-bugs")]
pub fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// No bug is planted.
#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub const fn is(_bug: Bug) -> bool {
    false
}
