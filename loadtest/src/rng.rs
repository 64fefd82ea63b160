//! Seeded numbers: a request's key and payload follow from the seed and the request's number alone.

/// SplitMix64 (Steele, Lea, Flood 2014): one multiplication chain per number, any seed is good.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Numbers for one request, or anything else with a number.
    pub fn of(seed: u64, number: u64) -> Self {
        let mut rng = Self(seed);
        let base = rng.next();
        Self(base ^ number.wrapping_mul(0xD1B5_4A32_D192_ED03))
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; the bias is at most `bound` in 2^64.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("it is below a usize")
    }

    /// A number from 0 up to, not including, 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Upper-case letters and digits.
    pub fn text(&mut self, length: usize, alphabet: &[u8]) -> String {
        (0..length).map(|_| char::from(alphabet[self.below(alphabet.len())])).collect()
    }
}

/// Picks ranks by Zipf's law: rank `r` (from 1) in proportion to `1 / r^exponent`.
#[derive(Debug)]
pub struct Zipf {
    /// At each rank, the share of all ranks up to it.
    shares: Vec<f64>,
}

impl Zipf {
    /// Over `ranks` ranks, at least 1.
    pub fn new(ranks: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weight = |rank: usize| (rank as f64).powf(-exponent);
        let sums: Vec<f64> = (1..=ranks)
            .map(|rank| {
                sum += weight(rank);
                sum
            })
            .collect();
        Self { shares: sums.into_iter().map(|upto| upto / sum).collect() }
    }

    /// A rank, from 0.
    pub fn pick(&self, rng: &mut Rng) -> usize {
        let at = rng.unit();
        self.shares.partition_point(|share| *share <= at).min(self.shares.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_from_seed_and_request() {
        let picked = |seed, number| Rng::of(seed, number).next();
        assert_eq!(picked(1, 7), picked(1, 7));
        assert!(picked(1, 7) != picked(1, 8) && picked(1, 7) != picked(2, 7));
        // First outputs of the published algorithm for seed 0.
        let mut rng = Rng(0);
        assert_eq!((rng.next(), rng.next()), (0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4));
    }

    #[test]
    fn few_ranks_get_most_picks() {
        let (zipf, mut picks) = (Zipf::new(1_000, 0.99), vec![0_u32; 1_000]);
        (0..100_000).for_each(|number| picks[zipf.pick(&mut Rng::of(1, number))] += 1);
        // The harmonic sum for 1,000 ranks and 0.99 is 7.73: 12.9 % fall on the first rank.
        assert!((12_300..13_600).contains(&picks[0]), "{}", picks[0]);
        assert!(picks[0] > picks[9] && picks[9] > picks[99]);
    }
}
