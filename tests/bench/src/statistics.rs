//! The few statistics that benches share.

use serde::Serialize;

/// The middle of some figures and how far they reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The median.
    pub median: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
    /// How many there were.
    pub count: usize,
}

impl Summary {
    /// Sums some figures up; all zero when there are none.
    #[must_use]
    pub fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            median: percentile(&sorted, 50.0),
            p95: percentile(&sorted, 95.0),
            least: sorted.first().copied().unwrap_or_default(),
            most: sorted.last().copied().unwrap_or_default(),
            count: sorted.len(),
        }
    }

    /// Largest less smallest.
    #[must_use]
    pub fn spread(&self) -> f64 {
        self.most - self.least
    }
}

/// The median; 0 for no figures.
#[must_use]
pub fn median(figures: &[f64]) -> f64 {
    Summary::of(figures).median
}

/// The `rank`th percentile (0 to 100) of sorted figures, between neighbours by proportion.
#[must_use]
pub fn percentile(sorted: &[f64], rank: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let place = rank.clamp(0.0, 100.0) / 100.0 * last as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

/// The rise per unit of x that outliers do not sway: the median slope over all pairs (Theil and Sen).
#[must_use]
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let mut slopes = Vec::new();
    for (index, (x, y)) in points.iter().enumerate() {
        for (other_x, other_y) in &points[index + 1..] {
            if other_x != x {
                slopes.push((other_y - y) / (other_x - x));
            }
        }
    }
    median(&slopes)
}

/// The medians of the first and of the last third, for "has it grown?".
#[must_use]
pub fn thirds(figures: &[f64]) -> (f64, f64) {
    let third = figures.len() / 3;
    (
        median(&figures[..third]),
        median(&figures[figures.len() - third..]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[7.0]), 7.0);
    }

    #[test]
    fn one_outlier_changes_neither_slope_nor_thirds() {
        let mut points: Vec<(f64, f64)> = (0..30).map(|x| (f64::from(x), 5.0)).collect();
        points[29].1 = 1000.0;
        assert_eq!(slope(&points), 0.0);
        let figures: Vec<f64> = points.iter().map(|(_, y)| *y).collect();
        assert_eq!(thirds(&figures), (5.0, 5.0));
    }

    #[test]
    fn a_steady_rise_is_found() {
        let points: Vec<(f64, f64)> = (0..30)
            .map(|x| (f64::from(x), 2.0 * f64::from(x)))
            .collect();
        assert_eq!(slope(&points), 2.0);
    }
}
