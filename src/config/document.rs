//! A document as it was written: what YAML and JSON have in common, in order, with repeated names and
//! (where the reader knows them) places kept, and a cursor that reads it with types.
//!
//! Reading never stops at the first problem: a cursor reports to the document's [`Report`] and says
//! `None`, and whoever reads goes on. Nothing here knows what a configuration is.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use crate::json::{self, RawValue, Str, Type};
use crate::places::{self, Places};

/// More levels than any configuration has; they are read by recursion.
const MAX_DEPTH: usize = 128;

#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub at: Option<Place>,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Unsigned(u64),
    /// Any other number (negative, fractional, too large), as text.
    OtherNumber(String),
    String(String),
    List(Vec<Node>),
    Map(Vec<Field>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: String,
    pub at: Option<Place>,
    pub node: Node,
}

/// Line and column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Node {
    pub fn from_json(text: &[u8]) -> Result<Node, Problems> {
        let node = match json::parse(text) {
            Ok(value) => Node::of(value, MAX_DEPTH).ok_or_else(|| "this is nested too deep".to_owned()),
            Err(error) => Err(format!("this is not JSON: {error}")),
        };
        node.map_err(|message| Problems(vec![Problem { path: String::new(), message, place: None }]))
    }

    fn of(value: &RawValue, depth: usize) -> Option<Node> {
        let depth = depth.checked_sub(1)?;
        Some(Node::from(match json::type_of(value) {
            Type::Null => Value::Null,
            Type::Bool => Value::Bool(value.get() == "true"),
            Type::Number => match value.get().parse() {
                Ok(number) => Value::Unsigned(number),
                Err(_) => Value::OtherNumber(value.get().to_owned()),
            },
            Type::String => Value::String(Str::new(value)?.decode().into_owned()),
            Type::Array => {
                Value::List(value.elements().map(|element| Node::of(element, depth)).collect::<Option<_>>()?)
            }
            Type::Object => {
                let field = |(name, value): (Str<'_>, &RawValue)| {
                    Some(Field { name: name.decode().into_owned(), at: None, node: Node::of(value, depth)? })
                };
                Value::Map(value.pairs().map(field).collect::<Option<_>>()?)
            }
        }))
    }

    pub fn string(text: impl Into<String>) -> Node {
        Value::String(text.into()).into()
    }

    pub fn map<'a>(fields: impl IntoIterator<Item = (&'a str, Node)>) -> Node {
        let field = |(name, node): (&str, Node)| Field { name: name.to_owned(), at: None, node };
        Value::Map(fields.into_iter().map(field).collect()).into()
    }

    pub fn list(nodes: impl IntoIterator<Item = Node>) -> Node {
        Value::List(nodes.into_iter().collect()).into()
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Node {
        Node { at: None, value }
    }
}

/// What is wrong at one place of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Empty for the document itself.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
    pub place: Option<Place>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with a document; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Nobody reads more; something that is no configuration at all may have millions.
const MOST_PROBLEMS: usize = 1_000;

/// Where the cursors of one document report to.
#[derive(Debug, Default)]
pub struct Report(RefCell<Vec<Problem>>);

impl Report {
    fn add(&self, path: &str, place: Option<Place>, message: String) {
        // A problem that two readers find is one problem.
        let problem = Problem { path: path.to_owned(), message, place };
        let mut problems = self.0.borrow_mut();
        if problems.len() < MOST_PROBLEMS && !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    /// In the order of the document where places are known, else in the order of reading.
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.0.into_inner();
        let place = |problem: &Problem| problem.place.map(|place| (place.line, place.column));
        places::sort(&mut problems, |a, b| place(a) < place(b));
        problems
    }
}

/// A node, and the way to it.
#[derive(Clone, Debug)]
pub struct Cursor<'d> {
    node: &'d Node,
    path: String,
    /// The place of its name, if it is a field.
    name_at: Option<Place>,
    report: &'d Report,
}

impl<'d> Cursor<'d> {
    pub fn new(node: &'d Node, report: &'d Report) -> Self {
        Cursor { node, path: String::new(), name_at: None, report }
    }

    /// Reports a problem with the value.
    pub fn problem(&self, message: impl Into<String>) {
        self.report.add(&self.path, self.node.at.or(self.name_at), message.into());
    }

    /// Reports a problem with the name of the field.
    pub fn name_problem(&self, message: impl Into<String>) {
        self.report.add(&self.path, self.name_at.or(self.node.at), message.into());
    }

    pub fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    /// The fields, to be taken by name.
    pub fn fields(&self) -> Option<Fields<'d>> {
        let left = self.entries()?;
        Some(Fields { of: self.clone(), left, known: Vec::new() })
    }

    /// The fields of a map whose names are the writer's own.
    pub fn entries(&self) -> Option<Vec<(&'d str, Cursor<'d>)>> {
        let Value::Map(fields) = &self.node.value else {
            self.wrong_type("a map");
            return None;
        };
        let mut entries: Vec<(&str, Cursor<'_>)> = Vec::with_capacity(fields.len());
        let mut names = Places::default();
        for field in fields {
            let cursor = Cursor {
                node: &field.node,
                path: step(&self.path, &field.name),
                name_at: field.at,
                report: self.report,
            };
            if names.set(Cow::Borrowed(&field.name), 0) {
                entries.push((&field.name, cursor));
            } else {
                cursor.name_problem("this name is written twice");
            }
        }
        Some(entries)
    }

    pub fn elements(&self) -> Option<Vec<Cursor<'d>>> {
        let Value::List(nodes) = &self.node.value else {
            self.wrong_type("a list");
            return None;
        };
        let element = |(index, node)| Cursor {
            node,
            path: format!("{}[{index}]", self.path),
            name_at: None,
            report: self.report,
        };
        Some(nodes.iter().enumerate().map(element).collect())
    }

    pub fn string(&self) -> Option<&'d str> {
        match &self.node.value {
            Value::String(text) => Some(text),
            _ => {
                self.wrong_type("a string");
                None
            }
        }
    }

    pub fn bool(&self) -> Option<bool> {
        match self.node.value {
            Value::Bool(value) => Some(value),
            _ => {
                self.wrong_type("true or false");
                None
            }
        }
    }

    /// A whole number within `range`.
    pub fn unsigned(&self, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        match self.node.value {
            Value::Unsigned(number) if range.contains(&number) => Some(number),
            _ => {
                self.wrong_type(&expected);
                None
            }
        }
    }

    /// A number as it was written. Out of JSON it is the shortest text for a double, which for up to 15
    /// digits is what was written: the reader divides two whole numbers that a double holds exactly.
    pub fn number(&self) -> Option<Cow<'d, str>> {
        match &self.node.value {
            Value::Unsigned(number) => Some(Cow::Owned(number.to_string())),
            Value::OtherNumber(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    /// A number, or a string: what a quantity is written as.
    pub fn quantity(&self) -> Result<u64, Option<&'d str>> {
        match &self.node.value {
            Value::Unsigned(number) => Ok(*number),
            Value::String(text) => Err(Some(text)),
            _ => Err(None),
        }
    }

    /// One of these words.
    pub fn choice<T: Copy>(&self, what: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.string()?;
        let chosen = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if chosen.is_none() {
            self.problem(unknown(what, text, choices.iter().map(|(name, _)| *name)));
        }
        chosen
    }

    /// A map with one field, whose name says what its value is.
    pub fn variant(&self) -> Option<(&'d str, Cursor<'d>)> {
        match &self.node.value {
            Value::Map(fields) if fields.len() == 1 => self.entries()?.pop(),
            _ => None,
        }
    }

    pub fn word(&self) -> Option<&'d str> {
        match &self.node.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn wrong_type(&self, expected: &str) {
        let (found, hint) = match &self.node.value {
            Value::Null => ("nothing".to_owned(), ""),
            Value::Bool(value) => (value.to_string(), quote_hint(expected)),
            Value::Unsigned(number) => (format!("the number {number}"), quote_hint(expected)),
            Value::OtherNumber(number) => (format!("the number {number}"), quote_hint(expected)),
            Value::String(text) => (quoted(text), ""),
            Value::List(_) => ("a list".to_owned(), ""),
            Value::Map(_) => ("a map".to_owned(), ""),
        };
        self.problem(format!("expected {expected}, found {found}{hint}"));
    }
}

fn quote_hint(expected: &str) -> &'static str {
    if expected == "a string" { "; write it in quotes" } else { "" }
}

/// The fields of a map with a schema. What is left at the end is unknown.
pub struct Fields<'d> {
    of: Cursor<'d>,
    left: Vec<(&'d str, Cursor<'d>)>,
    known: Vec<&'static str>,
}

impl<'d> Fields<'d> {
    pub fn optional(&mut self, name: &'static str) -> Option<Cursor<'d>> {
        self.known.push(name);
        let index = self.left.iter().position(|(field, _)| *field == name)?;
        Some(self.left.remove(index).1)
    }

    pub fn required(&mut self, name: &'static str, hint: &str) -> Option<Cursor<'d>> {
        let field = self.optional(name);
        if field.is_none() {
            self.of.name_problem(format!("`{name}` is missing: {hint}"));
        }
        field
    }

    /// Reports the fields that nobody took.
    pub fn finish(self) {
        for (name, cursor) in &self.left {
            cursor.name_problem(unknown("field", name, self.known.iter().copied()));
        }
    }
}

/// The message for a name that is not one of the known ones, with the nearest of them.
pub fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    // Longer lists are the documents' to give.
    const MOST: usize = 20;
    let mut message = format!("unknown {what} {}", quoted(name));
    let near = nearest(name, known.clone());
    if let Some(near) = near {
        message.push_str(&format!("; did you mean {}?", quoted(near)));
    } else {
        message.push('.');
    }
    let known: Vec<_> = known.collect();
    if known.is_empty() {
        message.push_str(" None is known");
    } else if near.is_none() || known.len() <= MOST {
        message.push_str(" Known: ");
        message.push_str(&known.join(", "));
    }
    message
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // The comparison is quadratic; nobody mistypes a name this long.
    if name.len() > 128 {
        return None;
    }
    let near = known.map(|candidate| (strsim::osa_distance(name, candidate), candidate));
    let (distance, candidate) = near.min_by_key(|(distance, _)| *distance)?;
    let longest = name.chars().count().max(candidate.chars().count());
    (distance <= longest.div_ceil(3) && distance < longest).then_some(candidate)
}

/// A text of the document for a message: in quotes, escaped, and not longer than a line.
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?} …", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

fn step(path: &str, name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || !name.bytes().all(plain) {
        return format!("{path}[{}]", quoted(name));
    }
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
