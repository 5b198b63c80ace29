//! Readers for JSON whose types cannot be relied on: a field of another type than expected costs that
//! field, not everything around it. One pass, as with plain structs.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::json::RawValue;

/// More choices, calls or blocks than this in one list are no answer; what a provider can make us hold
/// is bounded by it. The normalizer remembers as many calls.
const MAX_ITEMS: usize = 1024;

/// Counts beyond this (2^53) are none: it is where JSON's numbers stop being whole.
const MAX_COUNT: u64 = 1 << 53;

/// An object, or nothing where something else stands.
#[derive(Debug)]
pub struct Maybe<T>(pub Option<T>);

/// The objects of a list at their places. An object alone counts as a list of one.
#[derive(Debug)]
pub struct List<T> {
    pub items: Vec<Option<T>>,
    pub is_list: bool,
    /// Whether it is a list of nothing but objects.
    pub is_exact: bool,
    /// Whether the key is there, if only with `null`.
    pub is_given: bool,
}

impl<T> Default for Maybe<T> {
    fn default() -> Self {
        Maybe(None)
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List { items: Vec::new(), is_list: false, is_exact: false, is_given: false }
    }
}

impl<T> List<T> {
    /// The objects, each with its place.
    pub fn into_placed(self) -> impl Iterator<Item = (usize, T)> {
        self.items.into_iter().enumerate().filter_map(|(place, item)| Some((place, item?)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Maybe(match Shape::deserialize(deserializer)? {
            Shape::Object(object) => Some(object),
            Shape::List(_) | Shape::Other => None,
        }))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Shape::deserialize(deserializer)? {
            Shape::List(items) => {
                let is_exact = items.iter().all(Option::is_some);
                List { items, is_list: true, is_exact, is_given: true }
            }
            Shape::Object(object) => List { items: vec![Some(object)], is_given: true, ..List::default() },
            Shape::Other => List { is_given: true, ..List::default() },
        })
    }
}

/// Any JSON value, as far as its shape matters.
enum Shape<T> {
    Object(T),
    List(Vec<Option<T>>),
    Other,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shape<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Any<T> {
            type Value = Shape<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON value")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Shape<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Shape::Object)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element::<Shape<T>>()? {
                    items.push(if let Shape::Object(object) = item { Some(object) } else { None });
                    if items.len() == MAX_ITEMS {
                        while list.next_element::<IgnoredAny>()?.is_some() {}
                    }
                }
                Ok(Shape::List(items))
            }

            fn visit_unit<E>(self) -> Result<Shape<T>, E> {
                Ok(Shape::Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Shape<T>, E> {
                Ok(Shape::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Shape<T>, E> {
                Ok(Shape::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Shape<T>, E> {
                Ok(Shape::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Shape<T>, E> {
                Ok(Shape::Other)
            }

            fn visit_str<E>(self, _: &str) -> Result<Shape<T>, E> {
                Ok(Shape::Other)
            }
        }

        deserializer.deserialize_any(Any(PhantomData))
    }
}

/// A count, which some write as a float or a string, now and then negative (quirk B27).
pub fn count(value: &RawValue) -> Option<u64> {
    let text = value.get().trim_matches('"').trim();
    let count = text.parse().ok().or_else(|| {
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
        Some(number as u64)
    })?;
    (count <= MAX_COUNT).then_some(count)
}

/// A number among others, which begin with zero.
pub fn index(value: &RawValue) -> Option<u32> {
    if value.get().contains('-') {
        return None;
    }
    count(value).and_then(|index| u32::try_from(index).ok())
}

/// A time in Unix seconds, which some give in milliseconds or as a float (quirk B26); 0 is none.
pub fn seconds(value: &RawValue) -> Option<u64> {
    // As seconds this would be the year 5138.
    const MILLISECONDS: u64 = 100_000_000_000;
    let time = count(value).filter(|time| *time > 0)?;
    Some(if time < MILLISECONDS { time } else { time / 1000 })
}

/// Whether a number among others is written so that any reader takes it for the same.
pub fn is_plain_index(value: &RawValue) -> bool {
    is_digits(value) && index(value).is_some()
}

/// The same of a time in Unix seconds.
pub fn is_plain_time(value: &RawValue) -> bool {
    is_digits(value) && seconds(value).is_some_and(|time| count(value) == Some(time))
}

fn is_digits(value: &RawValue) -> bool {
    value.get().bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(default, borrow)]
        one: Maybe<Inner<'a>>,
        #[serde(default, borrow)]
        many: List<Inner<'a>>,
    }

    #[derive(Deserialize)]
    struct Inner<'a> {
        #[serde(borrow)]
        x: Option<&'a RawValue>,
    }

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn another_type_costs_the_field_alone() {
        for other in ["null", "1", "-1", "1.5", "true", "\"a\\n\"", "[]", "[[{}]]"] {
            let text = format!(r#"{{"one":{other},"many":[{{"x":1}},{other},{{"x":2}}]}}"#);
            let outer: Outer<'_> = serde_json::from_str(&text).unwrap();
            assert!(outer.one.0.is_none() && !outer.many.is_exact, "{other}");
            let many: Vec<_> = outer.many.into_placed().map(|(at, inner)| (at, inner.x.unwrap().get())).collect();
            assert_eq!(many, [(0, "1"), (2, "2")]);

            let text = format!(r#"{{"one":{{"x":1}},"many":{other}}}"#);
            let outer: Outer<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!(outer.one.0.unwrap().x.unwrap().get(), "1");
            assert!(outer.many.is_given && outer.many.into_placed().next().is_none(), "{other}");
        }
        let outer: Outer<'_> = serde_json::from_str(r#"{"many":{"x":1}}"#).unwrap();
        assert_eq!(outer.many.items.len(), 1);
        let many = format!(r#"{{"many":[{}{{}}]}}"#, "{},".repeat(5000));
        assert_eq!(serde_json::from_str::<Outer<'_>>(&many).unwrap().many.items.len(), MAX_ITEMS);
    }

    #[test]
    fn numbers_are_read_however_they_are_written() {
        let counts = ["5", "5.0", "\"5\"", "-1", "1e400", "9e18", "\"x\"", "null", "{}"].map(|text| count(raw(text)));
        assert_eq!(counts, [Some(5), Some(5), Some(5), Some(0), None, None, None, None, None]);
        let indices = ["0", "\"1\"", "2.0", "-1", "4294967296"].map(|text| index(raw(text)));
        assert_eq!(indices, [Some(0), Some(1), Some(2), None, None]);
        let times =
            ["1767225600", "1767225600.25", "1767225600123", "\"1767225600\"", "0"].map(|text| seconds(raw(text)));
        assert_eq!(times, [Some(1_767_225_600), Some(1_767_225_600), Some(1_767_225_600), Some(1_767_225_600), None]);
    }
}
