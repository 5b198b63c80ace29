//! Where names stand in a list, for lists whose length a client decides: looking through them again for
//! each name would take the square of it.
//!
//! One kind of map for all, with one set of functions, and no sorting: each kind costs the module kilobytes.

use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct Places<'a>(BTreeMap<Cow<'a, str>, usize>);

impl<'a> Places<'a> {
    /// Of a list; of two with one name the later.
    pub fn of(names: impl Iterator<Item = Cow<'a, str>>) -> Self {
        let mut places = Places::default();
        for (place, name) in names.enumerate() {
            places.set(name, place);
        }
        places
    }

    pub fn get(&self, name: &str) -> Option<usize> {
        self.0.get(name).copied()
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Tells whether the name is new.
    #[inline(never)]
    pub fn set(&mut self, name: Cow<'a, str>, place: usize) -> bool {
        self.0.insert(name, place).is_none()
    }

    /// In the order of the names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(AsRef::as_ref)
    }
}

/// Sorts a list that is short, or nearly in order; equal items keep their order. `is_less` of two items.
pub fn sort<T>(list: &mut [T], is_less: impl Fn(&T, &T) -> bool) {
    for end in 1..list.len() {
        let Some((item, before)) = list.get(..=end).and_then(<[T]>::split_last) else { return };
        let place = before.partition_point(|earlier| !is_less(item, earlier));
        if let Some(moved) = list.get_mut(place..=end) {
            moved.rotate_right(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_place_of_a_name_holds() {
        let places = Places::of(["b", "a", "b"].map(Cow::Borrowed).into_iter());
        assert_eq!((places.get("a"), places.get("b"), places.get("c")), (Some(1), Some(2), None));
        assert_eq!(places.names().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn it_sorts_as_the_standard_library_does() {
        for length in [0, 1, 2, 7, 64] {
            let mut list: Vec<_> = (0..length).map(|place| (place * 37 % 11, place)).collect();
            let mut expected = list.clone();
            expected.sort_by_key(|(key, _)| *key);
            sort(&mut list, |a, b| a.0 < b.0);
            assert_eq!(list, expected);
        }
    }
}
