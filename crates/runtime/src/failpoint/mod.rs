//! Named places where a test may end or hold up a process: what happens if it dies on this line?
//!
//! Only with the feature `failpoints`, which no released binary has; without it [`reach`] is nothing. Armed by the
//! environment, as places separated by semicolons:
//!
//! ```text
//! SPINA_FAILPOINTS="after_commit=kill@3;before_stage=pause:500;judged=clock:-3600@20"
//! ```
//!
//! - `kill` ends the process with SIGKILL, as a crash would; `pause` holds the thread that came by, for milliseconds;
//!   `clock` sets how far the process's clock is off, in seconds.
//! - `@3` means the third time that somebody comes by; without it `kill` and `clock` act the first time, `pause` each time.

#[cfg(feature = "failpoints")]
mod armed;

#[cfg(feature = "failpoints")]
pub(crate) use armed::{VARIABLE, check};

/// Every place there is; `tests/tidy.rs` holds this list to the code.
pub const NAMES: &[&str] = &[
    "queued",
    "judged",
    "before_offsets",
    "before_stage",
    "after_stage",
    "before_commit",
    "after_commit",
    "before_tail_push",
    "before_answer",
    "lost",
    "read_back_fenced",
    "read_back_read",
    "take_over_a_fenced",
    "take_over_b_watermark",
    "take_over_c_read",
    "take_over_d_installed",
    "take_over_e_announced",
    "take_over_f_serving",
    "before_archive",
    "after_archive",
    "unique_claimed",
    "unique_appended",
];

/// The process has come to this place.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn reach(_name: &str) {}

/// The process has come to this place.
#[cfg(feature = "failpoints")]
pub fn reach(name: &str) {
    armed::reach(name);
}

/// How far the clock of this process is off, in microseconds.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn clock_offset_us() -> i64 {
    0
}

/// How far the clock of this process is off, in microseconds.
#[cfg(feature = "failpoints")]
pub fn clock_offset_us() -> i64 {
    armed::clock_offset_us()
}
