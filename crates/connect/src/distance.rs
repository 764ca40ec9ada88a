//! Exact search: distances in double precision, the nearest k with ties by id.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use carnet_model::Metric;

use crate::repository::Hit;

/// The distance of two vectors of one length; smaller is nearer. Sums run in double precision over
/// the elements in order, so that every store that scans exactly gives the same number.
/// Cosine with a zero vector is NaN: such a record is never near.
pub fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    match metric {
        Metric::L2 => a
            .iter()
            .zip(b)
            .map(|(x, y)| {
                let difference = f64::from(*x) - f64::from(*y);
                difference * difference
            })
            .sum::<f64>()
            .sqrt(),
        Metric::InnerProduct => -dot(a, b),
        Metric::Cosine => 1.0 - dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt()),
    }
}

/// Keeps the nearest `k` of what it is shown. NaN distances are never kept.
#[derive(Debug)]
pub struct Nearest {
    k: usize,
    heap: BinaryHeap<Farthest>,
}

#[derive(Debug)]
struct Farthest(Hit);

impl Ord for Farthest {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.distance.total_cmp(&other.0.distance).then_with(|| self.0.id.cmp(&other.0.id))
    }
}

impl PartialOrd for Farthest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Farthest {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Farthest {}

impl Nearest {
    /// Keeps nothing yet.
    pub fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::new() }
    }

    /// Shows a record. The id is only copied if it is kept.
    pub fn offer(&mut self, id: &str, distance: f64) {
        if distance.is_nan() || self.k == 0 {
            return;
        }
        // -0.0 and 0.0 are one distance.
        let distance = distance + 0.0;
        if self.heap.len() >= self.k {
            let Some(Farthest(worst)) = self.heap.peek() else { return };
            let nearer = distance.total_cmp(&worst.distance).then_with(|| id.cmp(&worst.id));
            if nearer != Ordering::Less {
                return;
            }
            self.heap.pop();
        }
        self.heap.push(Farthest(Hit { id: id.to_owned(), distance }));
    }

    /// The distance beyond which nothing is kept any more; `None` while there is still room.
    pub fn worst(&self) -> Option<f64> {
        if self.heap.len() < self.k {
            return None;
        }
        self.heap.peek().map(|Farthest(worst)| worst.distance)
    }

    /// Adds what another one kept.
    pub fn join(&mut self, other: Self) {
        for Farthest(hit) in other.heap {
            self.offer(&hit.id, hit.distance);
        }
    }

    /// The kept records, nearest first, equal distances in byte order of id.
    pub fn into_hits(self) -> Vec<Hit> {
        self.heap.into_sorted_vec().into_iter().map(|Farthest(hit)| hit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_follow_their_definition() {
        let (a, b) = ([3.0f32, 0.0], [0.0f32, 4.0]);
        assert!((distance(Metric::L2, &a, &b) - 5.0).abs() < 1e-12);
        assert!((distance(Metric::InnerProduct, &a, &a) + 9.0).abs() < 1e-12);
        assert!((distance(Metric::Cosine, &a, &b) - 1.0).abs() < 1e-12);
        assert!(distance(Metric::Cosine, &a, &[0.0, 0.0]).is_nan());
    }

    #[test]
    fn the_nearest_are_kept_and_ties_go_by_id() {
        let mut one = Nearest::new(2);
        let mut two = Nearest::new(2);
        one.offer("c", 1.0);
        one.offer("b", 1.0);
        two.offer("a", 1.0);
        two.offer("n", f64::NAN);
        assert_eq!((one.worst(), two.worst()), (Some(1.0), None));
        one.join(two);
        let ids: Vec<_> = one.into_hits().into_iter().map(|hit| hit.id).collect();
        assert_eq!(ids, ["a", "b"]);
    }
}
