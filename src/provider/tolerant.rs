//! Readers for JSON whose types cannot be relied on: a field of another type than expected costs that
//! field, not everything around it.
//!
//! What an API answers is declared by [`wire!`]: a struct of the fields that are read, each under its key.
//! All of them are filled by one function, [`read_fields`], from a list of keys.

use crate::json::{self, Error, RawValue, Type};

/// More choices, calls or blocks than this in one list are no answer; what a provider can make us hold
/// is bounded by it. The normalizer remembers as many calls.
const MAX_ITEMS: usize = 1024;

/// Counts beyond this (2^53) are none: it is where JSON's numbers stop being whole.
const MAX_COUNT: u64 = 1 << 53;

/// Declares the fields of an object that are read: `name: Type`, or `name = "key": Type` where the key is
/// not the name. Their types are those that have [`Field`].
macro_rules! wire {
    ($(
        $(#[$attribute:meta])*
        $access:vis struct $name:ident<'a> {
            $($(#[$note:meta])* $field_access:vis $field:ident $(= $key:literal)?: $type:ty,)*
        }
    )*) => {$(
        $(#[$attribute])*
        $access struct $name<'a> {
            $($(#[$note])* $field_access $field: $type,)*
        }

        impl<'a> $crate::provider::tolerant::Fields<'a> for $name<'a> {
            const KEYS: &'static [$crate::provider::tolerant::Key] = &[$($crate::provider::tolerant::Key {
                name: $crate::provider::tolerant::wire!(@key $field $($key)?),
                keeps_null: <$type as $crate::provider::tolerant::Field<'a>>::KEEPS_NULL,
            },)*];

            fn of(object: &'a $crate::json::RawValue) -> Result<Self, $crate::json::Error> {
                let [$($field,)*] = $crate::provider::tolerant::read_fields(object, Self::KEYS)?;
                Ok($name { $($field: $crate::provider::tolerant::Field::of($field)?,)* })
            }
        }
    )*};
    (@key $field:ident $key:literal) => { $key };
    (@key $field:ident) => { stringify!($field) };
}
pub(crate) use wire;

/// An object of which some fields are read; see [`wire!`].
pub trait Fields<'a>: Sized {
    const KEYS: &'static [Key];

    /// Of a value that is no object it is an error, as it is of one in which a key that is read stands twice.
    fn of(object: &'a RawValue) -> Result<Self, Error>;
}

pub struct Key {
    pub name: &'static str,
    /// Whether a `null` is told apart from a key that is not there.
    pub keeps_null: bool,
}

/// What a field is read as.
pub trait Field<'a>: Sized {
    const KEEPS_NULL: bool = false;

    fn of(value: Option<&'a RawValue>) -> Result<Self, Error>;
}

/// Reads a whole text.
pub fn read<'a, T: Fields<'a>>(text: &'a [u8]) -> Result<T, Error> {
    T::of(json::parse(text)?)
}

pub fn read_str<'a, T: Fields<'a>>(text: &'a str) -> Result<T, Error> {
    T::of(json::parse_str(text)?)
}

/// The values of these keys.
pub fn read_fields<'a, const N: usize>(
    object: &'a RawValue,
    keys: &'static [Key],
) -> Result<[Option<&'a RawValue>; N], Error> {
    let mut values = [None; N];
    fill(object, keys, &mut values)?;
    Ok(values)
}

fn fill<'a>(object: &'a RawValue, keys: &'static [Key], values: &mut [Option<&'a RawValue>]) -> Result<(), Error> {
    if json::type_of(object) != Type::Object {
        return Err(Error::NotAnObject);
    }
    // Most write them in the order in which they are declared here.
    let mut next = 0;
    for (key, value) in object.pairs() {
        let (before, behind) = keys.split_at_checked(next).unwrap_or((keys, &[]));
        let is_named = |known: &Key| key.is(known.name);
        let place = match behind.iter().position(is_named) {
            Some(place) => before.len() + place,
            None => match before.iter().position(is_named) {
                Some(place) => place,
                None => continue,
            },
        };
        next = place + 1;
        let (Some(known), Some(slot)) = (keys.get(place), values.get_mut(place)) else { continue };
        if slot.is_some() {
            return Err(Error::Repeated(known.name));
        }
        *slot = Some(value).filter(|value| known.keeps_null || value.get() != "null");
    }
    Ok(())
}

impl<'a> Field<'a> for Option<&'a RawValue> {
    fn of(value: Option<&'a RawValue>) -> Result<Self, Error> {
        Ok(value)
    }
}

/// A value, `null` included.
#[derive(Clone, Copy, Debug, Default)]
pub struct Present<'a>(pub Option<&'a RawValue>);

impl<'a> Field<'a> for Present<'a> {
    const KEEPS_NULL: bool = true;

    fn of(value: Option<&'a RawValue>) -> Result<Self, Error> {
        Ok(Present(value))
    }
}

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

impl<'a, T: Fields<'a>> Field<'a> for Maybe<T> {
    fn of(value: Option<&'a RawValue>) -> Result<Self, Error> {
        Ok(Maybe(match value.filter(|value| json::type_of(value) == Type::Object) {
            Some(object) => Some(T::of(object)?),
            None => None,
        }))
    }
}

impl<'a, T: Fields<'a>> Field<'a> for List<T> {
    const KEEPS_NULL: bool = true;

    fn of(value: Option<&'a RawValue>) -> Result<Self, Error> {
        let Some(value) = value else { return Ok(List::default()) };
        let mut list = List { is_given: true, ..List::default() };
        let object = |value: &'a RawValue| Maybe::of(Some(value)).map(|Maybe(object)| object);
        match json::type_of(value) {
            Type::Array => {
                (list.is_list, list.is_exact) = (true, true);
                for item in value.elements().take(MAX_ITEMS) {
                    let item = object(item)?;
                    list.is_exact &= item.is_some();
                    list.items.push(item);
                }
            }
            Type::Object => list.items.push(object(value)?),
            _ => {}
        }
        Ok(list)
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
    use super::*;

    wire! {
        struct Outer<'a> {
            one: Maybe<Inner<'a>>,
            many: List<Inner<'a>>,
            last: Present<'a>,
        }

        struct Inner<'a> {
            x: Option<&'a RawValue>,
            y = "whyNot": Option<&'a RawValue>,
        }
    }

    fn outer(text: &str) -> Outer<'_> {
        read(text.as_bytes()).unwrap()
    }

    fn raw(text: &str) -> &RawValue {
        json::parse_str(text).unwrap()
    }

    #[test]
    fn another_type_costs_the_field_alone() {
        for other in ["null", "1", "-1", "1.5", "true", "\"a\\n\"", "[]", "[[{}]]"] {
            let text = format!(r#"{{"one":{other},"many":[{{"x":1}},{other},{{"x":2}}]}}"#);
            let Outer { one, many, .. } = outer(&text);
            assert!(one.0.is_none() && !many.is_exact, "{other}");
            let many: Vec<_> = many.into_placed().map(|(at, inner)| (at, inner.x.unwrap().get())).collect();
            assert_eq!(many, [(0, "1"), (2, "2")]);

            let text = format!(r#"{{"one":{{"x":1}},"many":{other}}}"#);
            let Outer { one, many, .. } = outer(&text);
            assert_eq!(one.0.unwrap().x.unwrap().get(), "1");
            assert!(many.is_given && many.into_placed().next().is_none(), "{other}");
        }
        assert_eq!(outer(r#"{"many":{"x":1}}"#).many.items.len(), 1);
        let many = format!(r#"{{"many":[{}{{}}]}}"#, "{},".repeat(5000));
        assert_eq!(outer(&many).many.items.len(), MAX_ITEMS);
    }

    #[test]
    fn a_key_is_known_in_any_order_and_however_it_is_escaped() {
        let text = r#"{ "last":null, "\u006dany" :[ {"whyNot" : 2 ,"x":null} ] , "?":[{"one":1}],"one":{"x": "}" }}"#;
        let outer = outer(text);
        assert_eq!(outer.last.0.unwrap().get(), "null");
        assert_eq!(outer.one.0.unwrap().x.unwrap().get(), "\"}\"");
        let inner = outer.many.items[0].as_ref().unwrap();
        assert_eq!((inner.x.is_none(), inner.y.unwrap().get()), (true, "2"));
    }

    #[test]
    fn a_key_that_is_read_stands_once() {
        for text in [r#"{"last":1,"last":null}"#, r#"{"one":{"x":1,"\u0078":null}}"#, r#"{"many":[{"x":1,"x":1}]}"#] {
            assert!(matches!(read::<Outer<'_>>(text.as_bytes()), Err(Error::Repeated("last" | "x"))), "{text}");
        }
        assert!(read::<Outer<'_>>(br#"{"?":1,"?":2}"#).is_ok());
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for text in ["", "[]", "\"a\"", "{", "{}{}", "{\"a\":}", "{\"a\":\"\u{1}\"}", "null"] {
            assert!(read::<Outer<'_>>(text.as_bytes()).is_err(), "{text}");
        }
        assert!(read::<Outer<'_>>(b"{\"a\":\"\xff\"}").is_err());
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
