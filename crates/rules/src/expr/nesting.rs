//! How deep an expression may go, judged before it is parsed.
//!
//! Parser and interpreter recurse, and a stack that overflows takes the process with it. What makes them recurse can be
//! counted on the text: brackets inside each other, and operators, which nest to one side in chains such as `!!!a` or
//! `a + b + c`. Measured in an unoptimised build, where frames are largest: about 170 KiB of stack for a bracket and
//! 42 KiB for an operator. The limit keeps both together below 1.6 of the 2 MiB that a thread has.

/// Most of: operators, plus [`BRACKET_WEIGHT`] for each bracket open at once.
pub const DEPTH_MAX: usize = 36;
/// What a bracket weighs against an operator.
pub const BRACKET_WEIGHT: usize = 4;
/// Most dots in an expression.
pub const DOTS_MAX: usize = 100;

/// What is too much about a text, and at which byte.
pub fn excess(text: &str) -> Option<(usize, String)> {
    let (mut open, mut deepest, mut operators, mut dots) = (0_usize, 0_usize, 0_usize, 0_usize);
    let (mut quote, mut before) = (None, b' ');
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match (quote, byte) {
            (Some(_), b'\\') => {
                bytes.next();
            }
            (Some(mark), _) if byte == mark => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'(' | b'[' | b'{') => open += 1,
            (None, b')' | b']' | b'}') => open = open.saturating_sub(1),
            (None, b'!' | b'-' | b'+' | b'*' | b'/' | b'%' | b'?' | b'<' | b'>') => operators += 1,
            // The second half of `==`, `!=`, `<=`, `&&` and `||` does not count again.
            (None, b'=' | b'&' | b'|') => operators += usize::from(!b"=!<>&|".contains(&before)),
            (None, b'.') => dots += 1,
            (None, _) => {}
        }
        before = byte;
        deepest = deepest.max(open);
        if deepest * BRACKET_WEIGHT + operators > DEPTH_MAX {
            return Some((at, "the expression goes too deep: too many operators and nested brackets".to_owned()));
        }
        if dots > DOTS_MAX {
            return Some((at, format!("more than {DOTS_MAX} dots in one expression")));
        }
    }
    None
}
