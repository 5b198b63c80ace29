//! A request's messages as they are listed: what stands in each, found while the body is read for the first
//! time, so that nobody has to read it again to know.

use super::attached::{self, Attachment};
use super::state;
use crate::json::{Failure, Object, RawValue, Reader, Str};

/// The messages, one after the other.
#[derive(Debug, Default)]
pub struct Listed<'a> {
    messages: Vec<Entry<'a>>,
    /// Of all messages: a list for each would be an allocation for each.
    fields: Vec<(Str<'a>, &'a RawValue)>,
    /// Where attachments lie is counted from the list's beginning.
    pub attachments: Vec<Attachment>,
}

#[derive(Debug)]
struct Entry<'a> {
    value: &'a RawValue,
    /// Where its fields end among those of all messages.
    end: usize,
}

/// A message as it was written.
#[derive(Clone, Copy)]
pub struct Raw<'l, 'a> {
    pub value: &'a RawValue,
    fields: &'l [(Str<'a>, &'a RawValue)],
}

impl<'a> Listed<'a> {
    /// Takes a list of messages; `false` if there is none.
    pub fn read(&mut self, json: &mut Reader<'a>) -> Result<bool, Failure> {
        json.peek();
        let start = json.place();
        if !json.open(b'[') {
            return Ok(false);
        }
        let mut is_first = true;
        while json.has_next(&mut is_first, b']')? {
            json.peek();
            let place = json.place();
            if json.open(b'{') {
                self.message(json, start)?;
            } else {
                json.value()?;
            }
            self.messages.push(Entry { value: json.taken(place), end: self.fields.len() });
        }
        Ok(true)
    }

    fn message(&mut self, json: &mut Reader<'a>, start: usize) -> Result<(), Failure> {
        let mut is_first = true;
        while let Some(key) = json.next_key(&mut is_first)? {
            json.peek();
            let place = json.place();
            let value = if key.is("content") && json.open(b'[') {
                attached::find(json, start, &mut self.attachments)?;
                json.taken(place)
            } else {
                json.value()?
            };
            self.fields.push((key, value));
        }
        Ok(())
    }

    pub fn iter(&self) -> impl Iterator<Item = Raw<'_, 'a>> {
        let mut from = 0;
        self.messages.iter().map(move |Entry { value, end }| {
            let fields = self.fields.get(from..*end).unwrap_or_default();
            from = *end;
            Raw { value, fields }
        })
    }

    /// The fields of all messages.
    pub fn fields(&self) -> &[(Str<'a>, &'a RawValue)] {
        &self.fields
    }

    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether the id of any call may carry state: cheap, for messages that are not read otherwise.
    pub fn carry_state(&self) -> bool {
        let is_id = |key: Str<'_>| key.is("tool_calls") || key.is("tool_call_id");
        self.fields.iter().any(|(key, value)| is_id(*key) && state::is_in(value.get().as_bytes()))
    }
}

impl<'l, 'a> Raw<'l, 'a> {
    /// Whether this, with its quotes, is its role.
    pub fn is_of(self, role: &str) -> bool {
        self.fields.iter().find(|(key, _)| key.is("role")).is_some_and(|(_, value)| value.get() == role)
    }

    /// Its fields, if it is an object.
    pub fn object(self) -> Option<Object<'a>> {
        self.value.get().starts_with('{').then(|| Object::of_pairs(self.fields))
    }
}
