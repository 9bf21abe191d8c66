//! Whether a difference of two failure rates is more than chance.

/// The chance that the second of two groups has at least `failed_b` failures of `tried_b` if
/// failures strike all attempts of both groups alike: Fisher's exact test, one-sided. It takes
/// attempts to be independent; failures come in bursts, so it calls a difference real rather too
/// often than too seldom.
pub(super) fn of_so_many(failed_a: u64, tried_a: u64, failed_b: u64, tried_b: u64) -> f64 {
    let (all, failed) = (tried_a + tried_b, failed_a + failed_b);
    let logs = log_factorials(all);
    let factorial = |n: u64| usize::try_from(n).ok().and_then(|n| logs.get(n)).copied().unwrap_or(f64::NAN);
    let choose = |n: u64, k: u64| factorial(n) - factorial(k) - factorial(n.saturating_sub(k));
    let most = failed.min(tried_b);
    let chance = |of_b: u64| {
        let of_a = failed - of_b;
        if of_a > tried_a {
            return 0.0;
        }
        (choose(tried_b, of_b) + choose(tried_a, of_a) - choose(all, failed)).exp()
    };
    (failed_b..=most).map(chance).sum::<f64>().min(1.0)
}

/// The logarithms of 0! to n!.
fn log_factorials(n: u64) -> Vec<f64> {
    let mut sum = 0.0;
    let grow = |number: u64| {
        sum += (number.max(1) as f64).ln();
        sum
    };
    (0..=n).map(grow).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_the_lady_who_tastes_tea() {
        // Four of four right: 1 of 70; three or more: 17 of 70.
        assert!((of_so_many(0, 4, 4, 4) - 1.0 / 70.0).abs() < 1e-9);
        assert!((of_so_many(1, 4, 3, 4) - 17.0 / 70.0).abs() < 1e-9);
    }

    #[test]
    fn no_failures_are_never_too_many() {
        assert_eq!(of_so_many(0, 1000, 0, 10), 1.0);
        assert!(of_so_many(20, 1000, 21, 1000) > 0.4);
        assert!(of_so_many(20, 1000, 60, 1000) < 1e-4);
    }
}
