//! YAML to a [`Node`], with the place of everything, and problems printed as a compiler prints them.
//!
//! Only what JSON could say, too, is taken: a document with aliases, tags or keys that are no strings
//! reads differently to different readers.

use std::fmt::Write;

use dragoman::config::document::{Field, Node, Place, Value};
use dragoman::config::{Problem, Problems};
use saphyr::{Scalar, ScalarStyle};
use saphyr_parser::{Event, Marker, Parser, ScanError};

/// Far more than any document needs; reading and dropping a tree is recursive.
const DEEPEST: usize = 32;

pub fn yaml(text: &str) -> Result<Node, Problems> {
    // Editors of some systems begin a file with this mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Reader::default().read(text).map_err(|problem| Problems(vec![problem]))
}

/// One problem after the other, each with its place.
pub fn render(problems: &Problems, file: &str) -> String {
    let count = problems.0.len();
    let plural = if count == 1 { "" } else { "s" };
    format!("{}{file}: {count} problem{plural}\n", render_as("error", &problems.0, file))
}

/// The same for what is not wrong, but should be known.
pub fn render_as(what: &str, problems: &[Problem], file: &str) -> String {
    let mut out = String::new();
    for problem in problems {
        let _ = writeln!(out, "{what}: {problem}");
        let _ = match problem.place {
            Some(place) => writeln!(out, "  --> {file}:{}:{}", place.line, place.column),
            None => writeln!(out, "  --> {file}"),
        };
    }
    out
}

#[derive(Default)]
struct Reader {
    /// The collections that are open, the innermost last.
    open: Vec<Open>,
    document: Option<Node>,
}

enum Open {
    List { at: Place, nodes: Vec<Node> },
    Map { at: Place, fields: Vec<Field>, name: Option<(String, Place)> },
}

impl Reader {
    fn read(mut self, text: &str) -> Result<Node, Problem> {
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| scan_problem(&error))?;
            self.event(event, place(&span.start))?;
        }
        self.document.ok_or_else(|| problem("the file is empty", Place { line: 1, column: 1 }))
    }

    fn event(&mut self, event: Event<'_>, at: Place) -> Result<(), Problem> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.document.is_some() => {
                Err(problem("there is a second document in the file", at))
            }
            Event::DocumentStart(_) => Ok(()),
            Event::Alias(_) => Err(problem("aliases are not taken; write the value again", at)),
            Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                Err(problem("tags are not taken; leave it out", at))
            }
            Event::Scalar(text, style, _, None) => {
                let value = scalar(&text, style);
                if let Some(Open::Map { name: name @ None, .. }) = self.open.last_mut() {
                    return match value {
                        Value::String(text) => {
                            *name = Some((text, at));
                            Ok(())
                        }
                        // As JSON has to write it, too: numbers of tokens are names.
                        Value::Unsigned(number) if number.to_string() == *text => {
                            *name = Some((text.into_owned(), at));
                            Ok(())
                        }
                        _ => Err(problem("a name is a string; write it in quotes", at)),
                    };
                }
                self.add(Node { at: Some(at), value });
                Ok(())
            }
            Event::SequenceStart(..) => self.begin(Open::List { at, nodes: Vec::new() }, at),
            Event::MappingStart(..) => self.begin(Open::Map { at, fields: Vec::new(), name: None }, at),
            Event::SequenceEnd | Event::MappingEnd => {
                let (at, value) = match self.open.pop() {
                    Some(Open::List { at, nodes }) => (at, Value::List(nodes)),
                    Some(Open::Map { at, fields, .. }) => (at, Value::Map(fields)),
                    None => return Err(problem("a collection ends here that did not begin", at)),
                };
                self.add(Node { at: Some(at), value });
                Ok(())
            }
        }
    }

    fn begin(&mut self, open: Open, at: Place) -> Result<(), Problem> {
        if let Some(Open::Map { name: None, .. }) = self.open.last() {
            return Err(problem("a name is a string, not a list or map", at));
        }
        if self.open.len() >= DEEPEST {
            return Err(problem("the document is nested too deeply", at));
        }
        self.open.push(open);
        Ok(())
    }

    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(Open::List { nodes, .. }) => nodes.push(node),
            Some(Open::Map { fields, name, .. }) => {
                if let Some((name, at)) = name.take() {
                    fields.push(Field { name, at: Some(at), node });
                }
            }
            None => self.document = Some(node),
        }
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.to_owned());
    }
    // An empty node: `name:` and nothing behind it.
    if text.is_empty() {
        return Value::Null;
    }
    match Scalar::parse_from_cow(text.into()) {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Bool(value),
        Scalar::Integer(number) => match u64::try_from(number) {
            Ok(number) => Value::Unsigned(number),
            Err(_) => Value::OtherNumber(text.to_owned()),
        },
        Scalar::FloatingPoint(_) => Value::OtherNumber(text.to_owned()),
        Scalar::String(text) => Value::String(text.into_owned()),
    }
}

fn scan_problem(error: &ScanError) -> Problem {
    problem(&format!("this is not YAML: {}", error.info()), place(error.marker()))
}

fn problem(message: &str, at: Place) -> Problem {
    Problem { path: String::new(), message: message.to_owned(), place: Some(at) }
}

fn place(marker: &Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}
