//! How long to wait after failures.

use std::time::Duration;

/// Never longer than this.
pub const MAX_BACKOFF: Duration = Duration::from_secs(3_600);
const FIRST: Duration = Duration::from_secs(1);

/// The wait after so many failures one after the other: it doubles up to
/// [`MAX_BACKOFF`], and is cut by up to a half by `random`, so that appliances that
/// lost a receiver together do not come back together.
pub fn delay(failures: u32, random: u32) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(20));
    let full = doubled.min(MAX_BACKOFF);
    let part = f64::from(random) / f64::from(u32::MAX);
    full.mul_f64(1.0 - part / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_wait_grows_to_an_hour_and_jitter_takes_at_most_half(failures in 0..u32::MAX, random: u32) {
            let wait = delay(failures, random);
            let full = delay(failures, 0);
            prop_assert!(wait >= full / 2 && wait <= full && full <= MAX_BACKOFF);
            prop_assert!(delay(failures.saturating_add(1), 0) >= full);
        }
    }

    #[test]
    fn it_doubles_from_a_second_on() {
        let full: Vec<u64> = (0..15).map(|failures| delay(failures, 0).as_secs()).collect();
        assert_eq!(full, [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]);
    }
}
