//! Looks for one text in many others. What a search has to know of what it looks for is worked out once, which
//! for a short request takes longer than the search.

use std::sync::OnceLock;

use memchr::memmem::Finder;

pub struct Needle {
    text: &'static str,
    finder: OnceLock<Finder<'static>>,
}

impl Needle {
    pub const fn new(text: &'static str) -> Self {
        Needle { text, finder: OnceLock::new() }
    }

    pub fn is_in(&self, text: &[u8]) -> bool {
        self.finder().find(text).is_some()
    }

    fn finder(&self) -> &Finder<'static> {
        self.finder.get_or_init(|| Finder::new(self.text))
    }
}
