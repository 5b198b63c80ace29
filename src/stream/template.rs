//! Events that differ from the one before in nothing but a text.
//!
//! Most events of a stream are such, and to read each as JSON and to write it anew costs ten times what it
//! says. A [`Template`] is made of an event that was read and written in the ordinary way, and serves those
//! that follow it. It is made if
//! - the translator says that the event was one text and nothing else ([`Sink::repeats`]),
//! - the normalizer knew before all that it knows behind it, so that one more tells it nothing new,
//! - one chunk was sent, which says just this text, and the text stands once in what was written,
//! - the event lay whole in what was read, and a blank line ended it.
//!
//! Bytes that are the same but for their blanks, and have in these what may stand there (the inside of a
//! JSON string; digits; spaces), are then the same event with another text: what was written for the first
//! is what is to be written for them, with that text in its place. The translator, the meter and the
//! normalizer are told what they have to know of it. At the first event that is another the template is
//! forgotten, so that nothing but such texts ever comes between an event and those that are like it.
//!
//! [`Sink::repeats`]: crate::provider::Sink::repeats

use std::ops::Range;

use memchr::memmem;

use crate::chat::{Arguments, ChatChunk, Said, SaidAs};
use crate::json::{self, RawValue, Str};
use crate::memory::append;

/// Longer events are not learnt from, and no longer text is waited for in vain: events of one text are some
/// hundred bytes. What a stream holds for its template is bounded by it.
const MOST: usize = 2 << 10;

/// More is made as it is needed: a template may fit one event of many.
const MOST_ROOM: usize = 64 << 10;

/// A provider's counts are half a dozen.
const MOST_NUMBERS: usize = 16;

/// A count of tokens has at most as many digits.
const MOST_DIGITS: usize = 16;

pub struct Template {
    choice: u32,
    said_as: SaidAs,
    input: Form,
    /// Its blanks are texts and padding only. `None` if it is the input's.
    output: Option<Form>,
}

/// Bytes without what stands in their blanks, each of which has the place in them at which it is.
struct Form {
    fixed: Vec<u8>,
    blanks: Vec<(usize, Blank)>,
}

/// What may differ.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blank {
    /// The inside of the string that is said.
    Text,
    /// The inside of a string that says nothing, and is passed on.
    Padding,
    /// The digits of a count.
    Number,
    /// Any number of them, of which nothing is passed on.
    Spaces,
    /// Nothing differs here: the value of the usage begins or ends.
    UsageBegins,
    UsageEnds,
}

/// An event that is like the one before.
pub struct Event<'a> {
    text: Str<'a>,
    padding: &'a str,
    /// The value of the usage, if it has one that may be another.
    pub usage: Option<&'a RawValue>,
}

/// Why there is no such event.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// It may become one, if the right bytes follow.
    Part,
    Other,
}

impl Template {
    /// The template of an event, of what was seen as it was read, and of what was written for it.
    pub fn of(event: &[u8], seen: &Seen, written: &[u8]) -> Option<Self> {
        let Seen { repeats: true, is_plain: true, said: Some((choice, said_as, text)), .. } = seen else { return None };
        if event.len() > MOST || written.len() > MOST {
            return None;
        }
        let text = text.within(event)?;
        let mut blanks = vec![(inside(&text), Blank::Text)];
        let mut places = vec![(inside(&only(written, event.get(text)?)??), Blank::Text)];
        if let Some(padding) = &seen.padding {
            let padding = padding.within(event)?;
            blanks.push((inside(&padding), Blank::Padding));
            let place = only(written, event.get(padding)?)?;
            places.extend(place.map(|place| (inside(&place), Blank::Padding)));
        }
        if let Some(usage) = &seen.usage {
            let usage = usage.within(event)?;
            blanks.push((usage.start..usage.start, Blank::UsageBegins));
            numbers(event, usage.clone(), &mut blanks)?;
            blanks.push((usage.end..usage.end, Blank::UsageEnds));
        }
        if !seen.is_relayed
            && let Some(spaces) = spaces(event, seen.data.within(event)?)
        {
            blanks.push((spaces, Blank::Spaces));
        }
        let is_same = event == written && blanks == places;
        let output = if is_same { None } else { Some(Form::of(written, places)?) };
        let input = Form::of(event, blanks)?;
        Some(Template { choice: *choice, said_as: *said_as, input, output })
    }

    /// The event that `bytes` begin with, and what is behind it.
    pub fn read<'a>(&self, bytes: &'a [u8]) -> Result<(Event<'a>, &'a [u8]), Stop> {
        self.find(bytes).map_err(|stop| if bytes.len() > MOST { Stop::Other } else { stop })
    }

    fn find<'a>(&self, bytes: &'a [u8]) -> Result<(Event<'a>, &'a [u8]), Stop> {
        let (mut at, mut from) = (0, 0);
        let (mut text, mut padding, mut usage) = (0..0, "", 0..0);
        for (to, blank) in &self.input.blanks {
            at = literal(bytes, at, self.input.fixed.get(from..*to).unwrap_or_default())?;
            from = *to;
            let start = at;
            let rest = bytes.get(at..).unwrap_or_default();
            match blank {
                Blank::Text => {
                    at += string(rest)?;
                    text = start..at;
                }
                Blank::Padding => {
                    at += string(rest)?;
                    padding = json::utf8(bytes.get(start..at).unwrap_or_default()).map_err(|_| Stop::Other)?;
                }
                Blank::Number => at += number(rest)?,
                Blank::Spaces => at += rest.iter().take_while(|byte| **byte == b' ').count(),
                Blank::UsageBegins => usage.start = at,
                Blank::UsageEnds => usage.end = at,
            }
        }
        let end = literal(bytes, at, self.input.fixed.get(from..).unwrap_or_default())?;
        if text.is_empty() {
            return Err(Stop::Other);
        }
        // There are quotes around it.
        let text = value(bytes, text.start.saturating_sub(1)..text.end + 1).and_then(Str::new).ok_or(Stop::Other)?;
        let usage = if usage.is_empty() { None } else { value(bytes, usage) };
        let rest = bytes.get(end..).unwrap_or_default();
        // The two of them end one line.
        let rest = if self.input.fixed.ends_with(b"\r") { rest.strip_prefix(b"\n").unwrap_or(rest) } else { rest };
        Ok((Event { text, padding, usage }, rest))
    }

    pub fn said<'a>(&self, event: &Event<'a>) -> Said<'a> {
        Said { choice: self.choice, said_as: self.said_as, text: event.text }
    }

    /// What is written for all the events that so many bytes may be, nearly.
    pub fn room(&self, bytes: usize) -> usize {
        (bytes / self.input.fixed.len().max(1) + 1).saturating_mul(self.output().fixed.len() + 16).min(MOST_ROOM)
    }

    fn output(&self) -> &Form {
        self.output.as_ref().unwrap_or(&self.input)
    }

    pub fn write(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        let (output, mut from) = (self.output(), 0);
        for (to, blank) in &output.blanks {
            append(out, output.fixed.get(from..*to).unwrap_or_default());
            append(out, if *blank == Blank::Text { event.text.escaped() } else { event.padding }.as_bytes());
            from = *to;
        }
        append(out, output.fixed.get(from..).unwrap_or_default());
    }
}

/// Where a slice lies in memory, so that it can be found in the bytes that it is a part of.
#[derive(Default)]
struct Place(Range<usize>);

impl Place {
    fn of(text: &str) -> Self {
        let Range { start, end } = text.as_bytes().as_ptr_range();
        Place(start as usize..end as usize)
    }

    fn within(&self, bytes: &[u8]) -> Option<Range<usize>> {
        let start = self.0.start.checked_sub(bytes.as_ptr() as usize)?;
        let end = start + self.0.len();
        (end <= bytes.len()).then_some(start..end)
    }
}

/// What is seen while an event is read, as far as a template is made of it.
#[derive(Default)]
pub struct Seen {
    data: Place,
    /// The translator says that it may come again.
    repeats: bool,
    padding: Option<Place>,
    usage: Option<Place>,
    /// What was sent is one chunk with one text, which told nothing new beside it.
    is_plain: bool,
    said: Option<(u32, SaidAs, Place)>,
    is_relayed: bool,
}

impl Seen {
    pub fn of(data: &str) -> Self {
        Seen { data: Place::of(data), is_plain: true, ..Seen::default() }
    }

    pub fn repeats(&mut self, padding: Option<Str<'_>>) {
        self.repeats = true;
        self.padding = padding.map(|padding| Place::of(padding.raw()));
    }

    pub fn may_repeat(&self) -> bool {
        self.repeats && self.is_plain
    }

    /// The value that usage was read from, as a slice of the event where it is one.
    pub fn usage(&mut self, value: Option<&str>) {
        self.is_plain &= self.usage.is_none();
        self.usage = value.map(Place::of);
    }

    /// A strict chunk that was sent. `is_settled`: the normalizer has learnt nothing from it.
    pub fn sent(&mut self, chunk: &ChatChunk<'_>, is_settled: bool) {
        self.is_plain &= is_settled && self.said.is_none();
        self.is_relayed |= chunk.source.is_some();
        match only_text(chunk) {
            Some((choice, said_as, text)) => self.said = Some((choice, said_as, Place::of(text.raw()))),
            None => self.is_plain = false,
        }
    }
}

/// The text, if it is all that a chunk says.
fn only_text<'a>(chunk: &ChatChunk<'a>) -> Option<(u32, SaidAs, Str<'a>)> {
    let [choice] = chunk.choices.as_slice() else { return None };
    let delta = &choice.delta;
    let says = |text: Option<Str<'a>>| text.filter(|text| !text.is_empty());
    let is_more = delta.role || delta.other || delta.logprobs.is_some() || !delta.extra.is_empty();
    if is_more || choice.finish_reason.is_some() || says(delta.refusal).is_some() {
        return None;
    }
    let (said_as, text) = match (says(delta.content), says(delta.reasoning), delta.tool_calls.as_slice()) {
        (Some(text), None, []) => (SaidAs::Content, text),
        (None, Some(text), []) => (SaidAs::Reasoning, text),
        (None, None, [call]) if !call.begins && call.id.is_none() && call.name.is_none() && call.state.is_none() => {
            let Some(Arguments::Text(text)) = call.arguments else { return None };
            (SaidAs::Arguments(call.index?), says(Some(text))?)
        }
        _ => return None,
    };
    Some((choice.index, said_as, text))
}

/// Between the quotes of a string.
fn inside(string: &Range<usize>) -> Range<usize> {
    string.start + 1..string.end.saturating_sub(1)
}

/// Where the string stands that is in there at most once; `None` if it is there more than once.
fn only(written: &[u8], string: &[u8]) -> Option<Option<Range<usize>>> {
    let Some(at) = memmem::find(written, string) else { return Some(None) };
    let again = memmem::find(written.get(at + 1..)?, string);
    again.is_none().then(|| Some(at..at + string.len()))
}

impl Form {
    /// Takes the blanks out of the bytes. `None` if one lies in another.
    fn of(bytes: &[u8], mut blanks: Vec<(Range<usize>, Blank)>) -> Option<Self> {
        let mut form = Form { fixed: Vec::with_capacity(bytes.len()), blanks: Vec::with_capacity(blanks.len()) };
        let mut from = 0;
        // There are a handful; a sort is a lot of code.
        while let Some((next, _)) = blanks.iter().enumerate().min_by_key(|(_, (range, _))| range.start) {
            let (range, blank) = blanks.swap_remove(next);
            form.fixed.extend_from_slice(bytes.get(from..range.start)?);
            form.blanks.push((form.fixed.len(), blank));
            from = range.end;
        }
        form.fixed.extend_from_slice(bytes.get(from..)?);
        Some(form)
    }
}

/// The values in JSON that are whole numbers.
fn numbers(event: &[u8], json: Range<usize>, blanks: &mut Vec<(Range<usize>, Blank)>) -> Option<()> {
    let mut before = b' ';
    let mut at = json.start;
    while at < json.end {
        let rest = event.get(at..json.end)?;
        let byte = *rest.first()?;
        let length = match byte {
            b'"' => string(rest.get(1..)?).ok()? + 2,
            b'0'..=b'9' => {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let ends = matches!(rest.get(digits), Some(b',' | b'}' | b']' | b' '));
                if before == b':' && ends && number(rest) == Ok(digits) {
                    blanks.push((at..at + digits, Blank::Number));
                }
                digits
            }
            _ => 1,
        };
        before = if byte == b' ' { before } else { byte };
        at += length;
    }
    (blanks.len() <= MOST_NUMBERS).then_some(())
}

/// The spaces before the bracket that ends an event's data: Anthropic hides by them how long a text is.
fn spaces(event: &[u8], data: Range<usize>) -> Option<Range<usize>> {
    let before = event.get(data.clone())?.strip_suffix(b"}")?;
    let end = data.start + before.len();
    Some(end - before.iter().rev().take_while(|byte| **byte == b' ').count()..end)
}

/// The place behind what has to stand there.
fn literal(bytes: &[u8], at: usize, literal: &[u8]) -> Result<usize, Stop> {
    let end = at + literal.len();
    match bytes.get(at..end) {
        Some(there) if there == literal => Ok(end),
        Some(_) => Err(Stop::Other),
        None if literal.starts_with(bytes.get(at..).unwrap_or_default()) => Err(Stop::Part),
        None => Err(Stop::Other),
    }
}

/// How long the inside of the JSON string is that begins here.
fn string(bytes: &[u8]) -> Result<usize, Stop> {
    let mut at = 0;
    loop {
        at = json::plain_end(bytes, at);
        match bytes.get(at..at + 2) {
            _ if at >= bytes.len() => return Err(Stop::Part),
            _ if bytes.get(at) == Some(&b'"') => return Ok(at),
            Some(b"\\u") => {
                let digits = bytes.get(at + 2..at + 6).ok_or(Stop::Part)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Stop::Other);
                }
                at += 6;
            }
            Some([b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't']) => at += 2,
            None if bytes.get(at) == Some(&b'\\') => return Err(Stop::Part),
            _ => return Err(Stop::Other),
        }
    }
}

/// How long the whole number is that begins here, without a sign.
fn number(bytes: &[u8]) -> Result<usize, Stop> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match bytes.first() {
        None => Err(Stop::Part),
        Some(b'0') if digits > 1 => Err(Stop::Other),
        _ if digits == 0 || digits > MOST_DIGITS => Err(Stop::Other),
        _ => Ok(digits),
    }
}

/// A value that is known to be one, unless it is no UTF-8.
fn value(bytes: &[u8], range: Range<usize>) -> Option<&RawValue> {
    json::utf8(bytes.get(range)?).ok().map(RawValue::trusted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_ends_at_its_quote_and_has_nothing_that_json_has_not() {
        for (bytes, expected) in [
            (r#"a b"}"#, Ok(3)),
            (r#"""#, Ok(0)),
            (r#"é\u00e9\n\\\"x\/"y"#, Ok(17)),
            (r#"abc"#, Err(Stop::Part)),
            (r#"abc\"#, Err(Stop::Part)),
            (r#"abc\u12"#, Err(Stop::Part)),
            (r#"\u12x4""#, Err(Stop::Other)),
            (r#"\x""#, Err(Stop::Other)),
            ("a\nb\"", Err(Stop::Other)),
            ("a\u{1}\"", Err(Stop::Other)),
        ] {
            assert_eq!(string(bytes.as_bytes()), expected, "{bytes}");
        }
    }

    #[test]
    fn a_number_is_whole_and_written_as_json_has_it() {
        for (bytes, expected) in [
            ("0,", Ok(1)),
            ("120}", Ok(3)),
            ("05,", Err(Stop::Other)),
            ("-1,", Err(Stop::Other)),
            ("x", Err(Stop::Other)),
            ("", Err(Stop::Part)),
            ("12345678901234567,", Err(Stop::Other)),
        ] {
            assert_eq!(number(bytes.as_bytes()), expected, "{bytes}");
        }
    }

    #[test]
    fn numbers_are_values_and_no_part_of_a_text() {
        let json = br#"{"a":1,"b":[2, 3],"c": 40,"d":"\":5,","e":6.5,"f":-7,"8":9}"#;
        let mut blanks = Vec::new();
        numbers(json, 0..json.len(), &mut blanks).unwrap();
        let found = blanks.into_iter().map(|(range, _)| std::str::from_utf8(&json[range]).unwrap());
        assert_eq!(found.collect::<Vec<_>>(), ["1", "40", "9"]);
    }
}
