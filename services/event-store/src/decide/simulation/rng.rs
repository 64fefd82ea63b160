//! Chance that comes again: the same seed gives the same numbers.

/// SplitMix64 (Steele, Lea, Flood 2014): one addition and a mix for each number.
pub struct Rng(u64);

impl Rng {
    /// Numbers of a seed. Streams of one seed with different names are independent.
    pub fn new(seed: u64, name: u64) -> Self {
        Self(seed.wrapping_mul(0xD134_2543_DE82_EF95) ^ name.wrapping_mul(0xA076_1D64_78BD_642F))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True `percent` times in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
