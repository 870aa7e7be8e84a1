//! Checks that a player received each numbered line once. Pure.

/// What has come of the lines of one room at one player, or at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    pub heard: u64,
    /// Missing without a word.
    pub lost: u64,
    /// Missing, as MISSED had said.
    pub missed: u64,
    pub doubled: u64,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, more: Self) {
        self.heard += more.heard;
        self.lost += more.lost;
        self.missed += more.missed;
        self.doubled += more.doubled;
    }
}

/// One player's place in the numbers of a room, which begin with 1.
#[derive(Debug, Default)]
pub struct Numbers {
    last: u64,
    /// So many of those that come next may be missing.
    excused: u64,
}

impl Numbers {
    /// The number of missing lines by MISSED; `None`: any number of them.
    pub fn excuse(&mut self, count: Option<u64>) {
        self.excused = self.excused.saturating_add(count.unwrap_or(u64::MAX));
    }

    pub fn hear(&mut self, number: u64) -> Count {
        if number <= self.last {
            return Count { doubled: 1, ..Count::default() };
        }
        let gap = number - self.last - 1;
        let missed = gap.min(self.excused);
        (self.last, self.excused) = (number, 0);
        Count { heard: 1, lost: gap - missed, missed, doubled: 0 }
    }

    /// Nothing follows, and this was the last line sent.
    pub fn end(&mut self, said: u64) -> Count {
        if said <= self.last {
            return Count::default();
        }
        // As if one more had been heard.
        Count { heard: 0, ..self.hear(said + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(heard: u64, lost: u64, missed: u64, doubled: u64) -> Count {
        Count { heard, lost, missed, doubled }
    }

    #[test]
    fn each_number_counts_once() {
        let mut numbers = Numbers::default();
        assert_eq!([1, 2].map(|number| numbers.hear(number)), [count(1, 0, 0, 0); 2]);
        assert_eq!(numbers.hear(2), count(0, 0, 0, 1));
        assert_eq!(numbers.hear(5), count(1, 2, 0, 0));
        assert_eq!(numbers.end(5), Count::default());
        assert_eq!(numbers.end(7), count(0, 2, 0, 0));
    }

    #[test]
    fn what_is_said_to_be_missing_is_not_lost() {
        let mut numbers = Numbers::default();
        numbers.excuse(Some(2));
        assert_eq!(numbers.hear(4), count(1, 1, 2, 0));
        // It excuses nothing later.
        assert_eq!(numbers.hear(6), count(1, 1, 0, 0));
        numbers.excuse(None);
        numbers.excuse(Some(1));
        assert_eq!(numbers.hear(10), count(1, 0, 3, 0));
    }
}
