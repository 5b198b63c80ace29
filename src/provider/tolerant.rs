//! Readers for JSON whose types cannot be relied on: a field of another type than expected costs that
//! field, not everything around it.
//!
//! What an API answers is declared by [`wire!`]: a struct of the fields that are read, each under its key.
//! The text is gone through once: by one walk, [`Pairs`], with a list of keys,
//! and by the readers of the objects that lie within.

use crate::json::{self, Error, Failure, Name, RawValue, Reader};

/// More choices, calls or blocks than this in one list are no answer; what a provider can make us hold
/// is bounded by it. The normalizer remembers as many calls.
const MAX_ITEMS: usize = 1024;
/// The same of lists that have an item for each token: twice as many as any model says at once.
pub const MAX_TOKENS: usize = 1 << 18;

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
        #[derive(Default)]
        $access struct $name<'a> {
            $($(#[$note])* $field_access $field: $type,)*
        }

        impl<'a> $crate::provider::tolerant::Fields<'a> for $name<'a> {
            const KEYS: &'static [$crate::provider::tolerant::Key] = &[$($crate::provider::tolerant::Key::new(
                $crate::provider::tolerant::wire!(@key $field $($key)?),
                <$type as $crate::provider::tolerant::Field<'a>>::SHAPE,
            ),)*];

            fn fill(&mut self, reader: &mut $crate::json::Reader<'a>) -> Result<(), $crate::json::Failure> {
                use $crate::provider::tolerant::{Field, Pairs, Shape};

                let mut values = [None; [$(stringify!($field)),*].len()];
                let mut pairs = Pairs::of(reader, Self::KEYS)?;
                while let Some(place) = pairs.next_nested(reader, &mut values)? {
                    let mut at = 0;
                    $(
                        if <$type as Field<'a>>::SHAPE == Shape::Nested && place == at {
                            self.$field.nested(reader)?;
                        }
                        at += 1;
                    )*
                    let _ = at;
                }
                let [$($field),*] = values;
                $(if <$type as Field<'a>>::SHAPE != Shape::Nested {
                    self.$field = Field::plain($field);
                })*
                Ok(())
            }
        }
    )*};
    (@key $field:ident $key:literal) => { $key };
    (@key $field:ident) => { stringify!($field) };
}
pub(crate) use wire;

/// An object of which some fields are read; see [`wire!`].
pub trait Fields<'a>: Default {
    const KEYS: &'static [Key];

    /// Reads them, each to its place: objects lie within each other, and would be moved at every step. What is no
    /// object, or has a key twice that is read, is a failure.
    fn fill(&mut self, reader: &mut Reader<'a>) -> Result<(), Failure>;

    fn read(reader: &mut Reader<'a>) -> Result<Self, Failure> {
        let mut fields = Self::default();
        fields.fill(reader)?;
        Ok(fields)
    }

    fn of(value: &'a RawValue) -> Result<Self, Failure> {
        Self::read(&mut Reader::of(value))
    }
}

pub struct Key {
    name: &'static str,
    beginning: u64,
    shape: Shape,
}

impl Key {
    pub const fn new(name: &'static str, shape: Shape) -> Self {
        Key { name, beginning: json::beginning(name.as_bytes()), shape }
    }

    #[inline(always)]
    fn is(&self, name: &[u8], beginning: u64) -> bool {
        self.beginning == beginning
            && self.name.len() == name.len()
            && (name.len() <= 8 || self.name.as_bytes() == name)
    }
}

/// How a field is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// As it is written; `null` is none.
    Plain,
    /// As it is written.
    Nullable,
    /// By its own reader.
    Nested,
}

/// What a field is read as.
pub trait Field<'a>: Default {
    const SHAPE: Shape;

    fn plain(_: Option<&'a RawValue>) -> Self {
        Self::default()
    }

    fn nested(&mut self, _: &mut Reader<'a>) -> Result<(), Failure> {
        Ok(())
    }
}

/// Reads a whole text.
pub fn read<'a, T: Fields<'a>>(text: &'a [u8]) -> Result<T, Error> {
    read_str(json::utf8(text)?)
}

pub fn read_str<'a, T: Fields<'a>>(text: &'a str) -> Result<T, Error> {
    json::read_whole(text, T::read)
}

/// A walk over the pairs of an object, which keeps the values of the keys that are known.
pub struct Pairs {
    keys: &'static [Key],
    /// Most write them in the order in which they are declared: where the next is looked for first.
    next: usize,
    /// A bit for each key that was there.
    seen: u32,
    is_first: bool,
}

impl Pairs {
    pub fn of(reader: &mut Reader<'_>, keys: &'static [Key]) -> Result<Self, Failure> {
        if !reader.open(b'{') {
            return Err(Failure::NotAnObject);
        }
        Ok(Pairs { keys, next: 0, seen: 0, is_first: true })
    }

    /// Goes on to the next value that has its own reader and tells the place of its key; `None` behind the
    /// object.
    pub fn next_nested<'a>(
        &mut self,
        reader: &mut Reader<'a>,
        values: &mut [Option<&'a RawValue>],
    ) -> Result<Option<usize>, Failure> {
        // Of its own, so that they stay in registers.
        let (mut here, mut is_first) = (reader.clone(), self.is_first);
        while let Some(name) = here.next_name(&mut is_first)? {
            let mut place = self.named(name.escaped, name.beginning);
            if place.is_none() && !name.is_plain {
                place = self.escaped(&name);
            }
            let known = place.and_then(|place| self.keys.get(place));
            if let (Some(place), Some(known)) = (place, known) {
                self.next = place + 1;
                let bit = 1u32.wrapping_shl(place as u32);
                if self.seen & bit != 0 {
                    return Err(Failure::Repeated(known.name));
                }
                self.seen |= bit;
                if known.shape == Shape::Nested {
                    self.is_first = false;
                    *reader = here;
                    return Ok(Some(place));
                }
            }
            let value = here.skip().ok_or(Failure::Syntax)?;
            if let (Some(place), Some(known)) = (place, known)
                && let Some(slot) = values.get_mut(place)
                && (known.shape == Shape::Nullable || value.get() != "null")
            {
                *slot = Some(value);
            }
        }
        self.is_first = false;
        *reader = here;
        Ok(None)
    }

    /// The place of the key with this name.
    #[inline(always)]
    fn named(&self, name: &[u8], beginning: u64) -> Option<usize> {
        let is = |known: &Key| known.is(name, beginning);
        if self.keys.get(self.next).is_some_and(is) { Some(self.next) } else { self.keys.iter().position(is) }
    }

    /// The same of a name that nobody knows as it is written.
    #[inline(never)]
    fn escaped(&self, name: &Name<'_>) -> Option<usize> {
        if !name.escaped.contains(&b'\\') {
            return None;
        }
        let name = name.decode();
        self.named(name.as_bytes(), json::beginning(name.as_bytes()))
    }
}

impl<'a> Field<'a> for Option<&'a RawValue> {
    const SHAPE: Shape = Shape::Plain;

    fn plain(value: Option<&'a RawValue>) -> Self {
        value
    }
}

/// A value, `null` included.
#[derive(Clone, Copy, Debug, Default)]
pub struct Present<'a>(pub Option<&'a RawValue>);

impl<'a> Field<'a> for Present<'a> {
    const SHAPE: Shape = Shape::Nullable;

    fn plain(value: Option<&'a RawValue>) -> Self {
        Present(value)
    }
}

/// An object, or nothing where something else stands.
#[derive(Debug)]
pub struct Maybe<T>(pub Option<T>);

/// An object and how it is written. What cannot be read as one costs no more than itself.
#[derive(Debug)]
pub struct Kept<'a, T> {
    /// Whatever stands there; `null` is none.
    pub raw: Option<&'a RawValue>,
    pub object: Option<T>,
}

/// The objects of a list at their places, as many as are read. An object alone counts as a list of one.
#[derive(Debug)]
pub struct List<T, const MOST: usize = MAX_ITEMS> {
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

impl<T> Default for Kept<'_, T> {
    fn default() -> Self {
        Kept { raw: None, object: None }
    }
}

impl<T, const MOST: usize> Default for List<T, MOST> {
    fn default() -> Self {
        List { items: Vec::new(), is_list: false, is_exact: false, is_given: false }
    }
}

impl<T, const MOST: usize> List<T, MOST> {
    /// The objects, each with its place.
    pub fn into_placed(self) -> impl Iterator<Item = (usize, T)> {
        self.items.into_iter().enumerate().filter_map(|(place, item)| Some((place, item?)))
    }
}

impl<'a, T: Fields<'a>> Field<'a> for Maybe<T> {
    const SHAPE: Shape = Shape::Nested;

    fn nested(&mut self, reader: &mut Reader<'a>) -> Result<(), Failure> {
        maybe(&mut self.0, reader)
    }
}

fn maybe<'a, T: Fields<'a>>(place: &mut Option<T>, reader: &mut Reader<'a>) -> Result<(), Failure> {
    if reader.peek() == Some(b'{') {
        return place.insert(T::default()).fill(reader);
    }
    reader.value().map(drop)
}

impl<'a, T: Fields<'a>> Field<'a> for Kept<'a, T> {
    const SHAPE: Shape = Shape::Nested;

    fn nested(&mut self, reader: &mut Reader<'a>) -> Result<(), Failure> {
        reader.peek();
        let mut within = reader.clone();
        if maybe(&mut self.object, &mut within).is_err() {
            self.object = None;
            within = reader.clone();
            within.value()?;
        }
        self.raw = Some(reader.value_before(&within)?).filter(|value| value.get() != "null");
        Ok(())
    }
}

impl<'a, T: Fields<'a>, const MOST: usize> Field<'a> for List<T, MOST> {
    const SHAPE: Shape = Shape::Nested;

    fn nested(&mut self, reader: &mut Reader<'a>) -> Result<(), Failure> {
        self.is_given = true;
        if !reader.open(b'[') {
            let mut item = None;
            maybe(&mut item, reader)?;
            self.items.extend(item.map(Some));
            return Ok(());
        }
        (self.is_list, self.is_exact) = (true, true);
        let mut is_first = true;
        while reader.has_next(&mut is_first, b']')? {
            if self.items.len() == MOST {
                reader.value()?;
                continue;
            }
            self.items.push(None);
            if let Some(item) = self.items.last_mut() {
                maybe(item, reader)?;
                self.is_exact &= item.is_some();
            }
        }
        Ok(())
    }
}

/// A count, which some write as a float or a string, now and then negative (quirk B27).
pub fn count(value: &RawValue) -> Option<u64> {
    digits(value).or_else(|| odd_count(value)).filter(|count| *count <= MAX_COUNT)
}

#[cold]
fn odd_count(value: &RawValue) -> Option<u64> {
    let text = value.get().trim_matches('"').trim();
    if let Ok(count) = text.parse() {
        return Some(count);
    }
    let number = json::float(text).filter(|number| number.is_finite())?;
    Some(number as u64)
}

/// A number among others, which begin with zero.
pub fn index(value: &RawValue) -> Option<u32> {
    let index = match digits(value) {
        None if value.get().contains('-') => None,
        None => count(value),
        index => index,
    };
    index.and_then(|index| u32::try_from(index).ok())
}

/// A time in Unix seconds beyond this is one in milliseconds: it would be the year 5138.
const MILLISECONDS: u64 = 100_000_000_000;

/// A time in Unix seconds, which some give in milliseconds or as a float (quirk B26); 0 is none.
pub fn seconds(value: &RawValue) -> Option<u64> {
    let time = count(value).filter(|time| *time > 0)?;
    Some(if time < MILLISECONDS { time } else { time / 1000 })
}

/// Whether a number among others is written so that any reader takes it for the same.
pub fn is_plain_index(value: &RawValue) -> bool {
    digits(value).is_some_and(|index| u32::try_from(index).is_ok())
}

/// The same of a time in Unix seconds.
pub fn is_plain_time(value: &RawValue) -> bool {
    digits(value).is_some_and(|time| (1..MILLISECONDS).contains(&time))
}

/// A number of nothing but digits, as nearly all are written; of more than have room, none.
pub fn digits(value: &RawValue) -> Option<u64> {
    const MOST: usize = u64::MAX.ilog10() as usize;
    let text = value.get().as_bytes();
    let digit = |number: u64, byte: &u8| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0'));
    if text.len() <= MOST { text.iter().try_fold(0, digit) } else { None }
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
