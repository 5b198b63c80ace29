//! Arguments of a tool call that come in pieces (Vertex AI's `streamFunctionCallArguments`): values at
//! JSON paths (RFC 9535, names and numbers only), put together to the JSON they stand for.

use super::response::text;
use crate::json::{RawValue, Writer};
use crate::provider::tolerant::wire;
use crate::stream::sse::MAX_EVENT;

wire! {
    /// A piece: where it belongs, and a value or the next part of a text.
    pub struct Piece<'a> {
        path = "jsonPath": Option<&'a RawValue>,
        string = "stringValue": Option<&'a RawValue>,
        number = "numberValue": Option<&'a RawValue>,
        bool = "boolValue": Option<&'a RawValue>,
        null = "nullValue": Option<&'a RawValue>,
    }
}

/// What there is of the arguments so far.
#[derive(Debug, PartialEq)]
pub struct Arguments {
    root: Node,
    /// How many more bytes there is room for.
    room: usize,
}

#[derive(Debug, PartialEq)]
enum Node {
    Object(Vec<(String, Node)>),
    List(Vec<Node>),
    /// Escaped.
    Text(String),
    Other(String),
}

impl Default for Node {
    fn default() -> Self {
        Node::Object(Vec::new())
    }
}

/// What a stream can make us build is bounded: levels, and all of it together.
const MAX_DEPTH: usize = 32;

/// As many bytes as one event may have, of which a value takes a kilobyte: a path names many that are not there yet
/// (`$[9][9]`), and among the names of an object each is looked for.
const ROOM: usize = MAX_EVENT;
const OF_VALUE: usize = 1 << 10;

impl Default for Arguments {
    fn default() -> Self {
        Arguments { root: Node::default(), room: ROOM }
    }
}

impl Arguments {
    /// Adds a piece. `false` if it cannot be read, or fits nowhere.
    pub fn add(&mut self, piece: &Piece<'_>) -> bool {
        let Some(path) = text(piece.path).and_then(|path| steps(&path.decode())) else { return false };
        let number = piece.number.map_or(0, |number| number.get().len());
        let said = text(piece.string).map_or(number, |more| more.escaped().len());
        let Some(room) = self.room.checked_sub(said) else { return false };
        self.room = room;
        let mut node = &mut self.root;
        for step in path {
            node = match node.child(step, &mut self.room) {
                Some(node) => node,
                None => return false,
            };
        }
        match (text(piece.string), piece.number.or(piece.bool)) {
            (Some(more), _) => match node {
                Node::Text(text) => text.push_str(more.escaped()),
                node => *node = Node::Text(more.escaped().to_owned()),
            },
            (None, Some(value)) => *node = Node::Other(value.get().to_owned()),
            (None, None) if piece.null.is_some() => *node = Node::Other("null".to_owned()),
            (None, None) => {}
        }
        true
    }

    pub fn to_json(&self) -> String {
        let mut w = Writer::default();
        self.root.write(&mut w);
        String::from_utf8(w.into_bytes()).unwrap_or_default()
    }
}

enum Step {
    Name(String),
    Index(usize),
}

/// `$.a['b c'][0]` as its steps.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if steps.len() == MAX_DEPTH {
            return None;
        }
        if let Some(tail) = rest.strip_prefix('[') {
            let (inner, tail) = match tail.chars().next()? {
                quote @ ('\'' | '"') => {
                    let (name, tail) = tail.get(1..)?.split_once(quote)?;
                    (Step::Name(name.to_owned()), tail.strip_prefix(']')?)
                }
                _ => {
                    let (index, tail) = tail.split_once(']')?;
                    (Step::Index(index.parse().ok()?), tail)
                }
            };
            steps.push(inner);
            rest = tail;
        } else {
            let name = rest.strip_prefix('.').unwrap_or(rest);
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (name, tail) = name.split_at(end);
            if name.is_empty() {
                return None;
            }
            steps.push(Step::Name(name.to_owned()));
            rest = tail;
        }
    }
    Some(steps)
}

impl Node {
    fn child(&mut self, step: Step, room: &mut usize) -> Option<&mut Node> {
        // Whatever stands where something deeper is to go makes room if it is empty.
        if let (Node::Object(fields), Step::Index(_)) = (&*self, &step)
            && fields.is_empty()
        {
            *self = Node::List(Vec::new());
        }
        match (self, step) {
            (Node::Object(fields), Step::Name(name)) => {
                let at = fields.iter().position(|(known, _)| *known == name).unwrap_or(fields.len());
                if at == fields.len() {
                    *room = room.checked_sub(OF_VALUE.saturating_add(name.len()))?;
                    fields.push((name, Node::default()));
                }
                fields.get_mut(at).map(|(_, node)| node)
            }
            (Node::List(items), Step::Index(index)) => {
                let missing = index.saturating_add(1).saturating_sub(items.len());
                *room = room.checked_sub(missing.saturating_mul(OF_VALUE))?;
                while items.len() <= index {
                    items.push(Node::default());
                }
                items.get_mut(index)
            }
            _ => None,
        }
    }

    fn write(&self, w: &mut Writer) {
        match self {
            Node::Object(fields) => {
                w.begin_object();
                for (name, node) in fields {
                    w.any_key(name);
                    node.write(w);
                }
                w.end_object();
            }
            Node::List(items) => {
                w.begin_array();
                for node in items {
                    node.write(w);
                }
                w.end_array();
            }
            Node::Text(text) => {
                w.escaped(&[text]);
            }
            Node::Other(json) => {
                w.raw(json);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::tolerant;

    #[test]
    fn pieces_at_paths_become_the_json_they_stand_for() {
        let mut arguments = Arguments::default();
        for (piece, fits) in [
            (r#"{"jsonPath":"$.city","stringValue":"Z\u00fc"}"#, true),
            (r#"{"jsonPath":"$.city","stringValue":"rich\n"}"#, true),
            (r#"{"jsonPath":"$.days[1].n","numberValue":2.50}"#, true),
            (r#"{"jsonPath":"$.days[0]","boolValue":false}"#, true),
            (r#"{"jsonPath":"$['odd key'].x","nullValue":"NULL_VALUE"}"#, true),
            (r#"{"jsonPath":"$.city.deeper","numberValue":1}"#, false),
            (r#"{"jsonPath":"$.days[99999]","numberValue":1}"#, false),
            (r#"{"jsonPath":"$..x","numberValue":1}"#, false),
            (r#"{"jsonPath":"$.a['","numberValue":1}"#, false),
            (r#"{"numberValue":1}"#, false),
        ] {
            assert_eq!(arguments.add(&tolerant::read_str(piece).unwrap()), fits, "{piece}");
        }
        let expected = r#"{"city":"Z\u00fcrich\n","days":[false,{"n":2.50}],"odd key":{"x":null}}"#;
        assert_eq!(arguments.to_json(), expected);
        assert_eq!(Arguments::default().to_json(), "{}");
    }

    #[test]
    fn what_pieces_can_make_us_hold_is_bounded() {
        let mut arguments = Arguments::default();
        let mut add = |path: &str, text: &str| {
            let piece = format!(r#"{{"jsonPath":"{path}","stringValue":"{text}"}}"#);
            arguments.add(&tolerant::read_str(&piece).unwrap())
        };
        let deep = "[1023]".repeat(MAX_DEPTH - 2);
        assert!((0..1024).filter(|index| add(&format!("$.a[{index}]{deep}"), "")).count() == 0);
        assert!(!add(&format!("$.b[{}]", usize::MAX), ""));
        let megabyte = "x".repeat(1 << 20);
        assert!((0..64).filter(|_| add("$.a", &megabyte)).count() < 16);
        assert!(arguments.to_json().len() < 2 * ROOM);
        let mut arguments = Arguments::default();
        let named = |number: usize| format!(r#"{{"jsonPath":"$.{megabyte}{number}","boolValue":true}}"#);
        assert!((0..64).filter(|number| arguments.add(&tolerant::read_str(&named(*number)).unwrap())).count() < 16);
    }
}
