//! Decimal numbers: a big-endian two's complement integer on the wire, text in JSON.

use super::error::{Invalid, shortened};
use super::kind::Decimal;

/// Most digits of a decimal: what 128 bits hold.
pub(super) const DIGITS_MAX: u32 = 38;

impl Decimal {
    fn in_range(&self, unscaled: i128) -> bool {
        unscaled.unsigned_abs() < 10_u128.pow(self.precision)
    }

    /// The integer behind text like `-12.50`. Fewer decimals than the scale are filled up, more are refused.
    pub(super) fn parse(&self, text: &str) -> Result<i128, Invalid> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (whole, decimals) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
        let numeric = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !numeric(whole) || !decimals.is_none_or(numeric) {
            let message = format!("`{}` is not a decimal such as -12.50", shortened(text));
            return Err(Invalid::new(Invalid::FORMAT, message));
        }
        let range = || {
            let message = format!("more than {} digits, {} of them decimals", self.precision, self.scale);
            Invalid::new(Invalid::RANGE, message)
        };
        let decimals = decimals.unwrap_or_default();
        let missing = (self.scale as usize).checked_sub(decimals.len()).ok_or_else(range)?;
        let mut unscaled: i128 = 0;
        for digit in whole.bytes().chain(decimals.bytes()).chain(std::iter::repeat_n(b'0', missing)) {
            let next = unscaled.checked_mul(10).and_then(|tens| tens.checked_add(i128::from(digit - b'0')));
            unscaled = next.filter(|next| self.in_range(*next)).ok_or_else(range)?;
        }
        Ok(if negative { -unscaled } else { unscaled })
    }

    /// The text of an integer, with all its decimals.
    pub(super) fn text(&self, unscaled: i128) -> String {
        let scale = self.scale as usize;
        let mut text = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
        if scale > 0 {
            text.insert(text.len() - scale, '.');
        }
        if unscaled < 0 {
            text.insert(0, '-');
        }
        text
    }

    /// The integer of big-endian two's complement bytes; `None` when it is out of range. No bytes at all are 0.
    pub(super) fn unscaled(&self, bytes: &[u8]) -> Option<i128> {
        let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
        let fill = if negative { 0xff } else { 0 };
        let excess = bytes.len().saturating_sub(16);
        let (sign, bytes) = bytes.split_at(excess);
        let mut wide = [fill; 16];
        wide[16 - bytes.len()..].copy_from_slice(bytes);
        let unscaled = i128::from_be_bytes(wide);
        let fits = sign.iter().all(|byte| *byte == fill) && (unscaled < 0) == negative;
        (fits && self.in_range(unscaled)).then_some(unscaled)
    }

    /// The shortest two's complement bytes of an integer, big-endian, within the 16 bytes of `wide`.
    pub(super) fn shortest(wide: &[u8; 16]) -> &[u8] {
        let negative = wide[0] & 0x80 != 0;
        let fill = if negative { 0xff } else { 0 };
        let needed = wide.windows(2).position(|pair| pair[0] != fill || (pair[1] & 0x80 != 0) != negative);
        &wide[needed.unwrap_or(15)..]
    }

    /// An integer as exactly `size` bytes; `None` when it does not fit.
    pub(super) fn to_fixed(unscaled: i128, size: usize) -> Option<Vec<u8>> {
        let wide = unscaled.to_be_bytes();
        let bytes = Self::shortest(&wide);
        let mut fixed = vec![if unscaled < 0 { 0xff } else { 0 }; size.checked_sub(bytes.len())?];
        fixed.extend_from_slice(bytes);
        Some(fixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONEY: Decimal = Decimal { precision: 6, scale: 2, fixed: None };

    #[test]
    fn text_and_integer_agree() {
        for (text, unscaled) in [("0.00", 0), ("12.50", 1_250), ("-0.01", -1), ("9999.99", 999_999)] {
            assert_eq!(MONEY.parse(text), Ok(unscaled));
            assert_eq!(MONEY.text(unscaled), text);
        }
        assert_eq!((MONEY.parse("12"), MONEY.parse("12.5"), MONEY.parse("007")), (Ok(1_200), Ok(1_250), Ok(700)));
        let whole = Decimal { precision: 3, scale: 0, fixed: None };
        assert_eq!((whole.parse("-12"), whole.text(-12).as_str()), (Ok(-12), "-12"));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for bad in ["", "-", ".5", "5.", "1e3", "+1", "1.2.3", "0x1", "１"] {
            assert_eq!(MONEY.parse(bad).unwrap_err().code, Invalid::FORMAT, "{bad:?}");
        }
        let long = "9".repeat(100_000);
        for bad in ["1.005", "10000.00", "-10000", long.as_str()] {
            assert_eq!(MONEY.parse(bad).unwrap_err().code, Invalid::RANGE);
        }
    }

    #[test]
    fn bytes_are_the_shortest_and_read_back() {
        for (unscaled, bytes) in [
            (0_i128, vec![0]),
            (127, vec![0x7f]),
            (128, vec![0, 0x80]),
            (-1, vec![0xff]),
            (-128, vec![0x80]),
            (-129, vec![0xff, 0x7f]),
        ] {
            assert_eq!(Decimal::shortest(&unscaled.to_be_bytes()), bytes);
            assert_eq!(MONEY.unscaled(&bytes), Some(unscaled));
            let fixed = Decimal::to_fixed(unscaled, 20).unwrap();
            assert_eq!((fixed.len(), MONEY.unscaled(&fixed)), (20, Some(unscaled)));
        }
        assert_eq!(Decimal::to_fixed(128, 1), None);
        assert_eq!(MONEY.unscaled(&[]), Some(0));
        assert_eq!(MONEY.unscaled(&[0x7f; 16]), None);
        assert_eq!(MONEY.unscaled(&[1; 17]), None);
        let wide_but_small = [[0xff].as_slice(), &[0; 16]].concat();
        assert_eq!(MONEY.unscaled(&wide_but_small), None);
    }
}
