//! Whether a part of a stream is all that was asked for. A read never shows a stream with a hole in it, or less of it than
//! was acknowledged: while the archive is behind, it says so instead.

use spina_core::Version;
use spina_store::archive::StreamRange;

/// True if `versions`, read from a stream that ends at `last`, are what the range asks for: one by one from where it
/// begins, and as many as it allows or until the stream ends.
pub fn is_gapless(versions: impl Iterator<Item = Version>, range: StreamRange, last: Version) -> bool {
    let (limit, mut read) = (u64::from(range.limit), 0);
    if range.backward {
        let first = range.from.min(last);
        let expected = |read: u64| first.0.checked_sub(read).filter(|version| *version > 0);
        for version in versions {
            if expected(read) != Some(version.0) {
                return false;
            }
            read += 1;
        }
        read == limit || expected(read).is_none()
    } else {
        let first = range.from.max(Version(1));
        for version in versions {
            if version != first.plus(read) {
                return false;
            }
            read += 1;
        }
        read == limit || first.plus(read) > last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gapless(versions: &[u64], from: u64, backward: bool, last: u64) -> bool {
        let range = StreamRange { from: Version(from), backward, limit: 3 };
        is_gapless(versions.iter().copied().map(Version), range, Version(last))
    }

    #[test]
    fn forward_from_the_first_version_until_the_limit_or_the_end() {
        assert!(gapless(&[1, 2, 3], 1, false, 9));
        assert!(gapless(&[1, 2], 0, false, 2));
        assert!(gapless(&[], 5, false, 4));
        assert!(gapless(&[], 1, false, 0));
        for (versions, from) in [(&[2, 3][..], 1), (&[1, 3], 1), (&[1, 2], 1), (&[], 4)] {
            assert!(!gapless(versions, from, false, 4), "{versions:?} from {from}");
        }
    }

    #[test]
    fn backward_from_the_last_version_until_the_limit_or_the_beginning() {
        assert!(gapless(&[9, 8, 7], u64::MAX >> 1, true, 9));
        assert!(gapless(&[2, 1], 2, true, 9));
        assert!(gapless(&[], 0, true, 9));
        assert!(gapless(&[], 7, true, 0));
        for (versions, from) in [(&[3, 2, 1][..], 9), (&[4, 2], 9), (&[4, 3], 9), (&[], 9)] {
            assert!(!gapless(versions, from, true, 4), "{versions:?} from {from}");
        }
    }
}
