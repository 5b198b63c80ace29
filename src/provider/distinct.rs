//! Names and ids as an API takes them: what does not fit is changed, and what was different stays so.

use std::borrow::Cow;

use crate::json::{self, Str};
use crate::places::Places;

/// Which names or ids an API takes.
#[derive(Clone, Copy)]
pub struct Rule {
    /// What may stand in one besides ASCII's letters and digits.
    pub punctuation: &'static str,
    /// Whether the first character may be anything else than a letter or `_`.
    pub any_first: bool,
    /// In bytes.
    pub longest: usize,
}

impl Rule {
    pub fn fits(&self, name: &str) -> bool {
        (1..=self.longest).contains(&name.len()) && self.may_begin(name) && name.chars().all(|char| self.takes(char))
    }

    fn may_begin(&self, name: &str) -> bool {
        self.any_first || name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
    }

    fn takes(&self, char: char) -> bool {
        char.is_ascii_alphanumeric() || self.punctuation.contains(char)
    }

    /// The nearest that fits; the same for names that differ in what does not.
    fn fitted(&self, name: &str) -> String {
        let mut fitted = name.replace(|char| !self.takes(char), "_");
        if fitted.is_empty() || !self.may_begin(&fitted) {
            fitted.insert(0, '_');
        }
        fitted.truncate(self.longest);
        fitted
    }
}

/// Gives every name that it is asked for a different one that fits.
pub struct Distinct {
    rule: Rule,
    /// And how often each was wanted by names that it is not given to.
    given: Places<'static>,
}

impl Distinct {
    pub fn new(rule: Rule) -> Self {
        Distinct { rule, given: Places::default() }
    }

    /// What it becomes depends on earlier ones only: a conversation that grows keeps its prefix, and
    /// with it the provider's cache.
    pub fn assign(&mut self, name: &str) -> String {
        let base = self.rule.fitted(name);
        let mut assigned = base.clone();
        while self.given.has(&assigned) {
            // Counts on where it stopped: repeated names must not cost their square.
            let count = self.given.get(&base).unwrap_or(1) + 1;
            self.given.set(base.clone().into(), count);
            let suffix = format!("_{count}");
            assigned.clone_from(&base);
            assigned.truncate(self.rule.longest.saturating_sub(suffix.len()));
            assigned.push_str(&suffix);
        }
        self.given.set(assigned.clone().into(), 1);
        assigned
    }
}

/// The names of the tools in one request as they are sent, one to one. A plain replacement would make one
/// tool of `a.b` and `a_b`.
#[derive(Default)]
pub struct ToolNames {
    /// What is sent.
    sent: Vec<String>,
    /// For the client's names that had to be changed.
    changed: Places<'static>,
}

impl ToolNames {
    /// Of all names in a request, those of earlier calls included. What fits stays as it is.
    pub fn new<'a>(rule: Rule, names: impl Iterator<Item = Str<'a>> + Clone) -> Self {
        ToolNames::without(&[], rule, names)
    }

    /// The same for an API that wants some names for itself.
    pub fn without<'a>(reserved: &[&str], rule: Rule, names: impl Iterator<Item = Str<'a>> + Clone) -> Self {
        let fits = |name: &str| rule.fits(name) && !reserved.contains(&name);
        let mut known = ToolNames::default();
        if names.clone().all(|name| fits(&name.decode())) {
            return known;
        }
        let mut distinct = Distinct::new(rule);
        let own = names.clone().map(Str::decode).filter(|name| rule.fits(name)).map(Cow::into_owned);
        for name in own.chain(reserved.iter().map(|&name| name.to_owned())) {
            distinct.given.set(name.into(), 1);
        }
        for name in names.map(Str::decode).filter(|name| !fits(name)) {
            if !known.changed.has(&name) {
                let sent = distinct.assign(&name);
                known.changed.set(name.into_owned().into(), known.sent.len());
                known.sent.push(sent);
            }
        }
        known
    }

    /// What is sent for a name, as JSON.
    pub fn sent<'a>(&self, name: Str<'a>) -> Cow<'a, str> {
        match self.of(&name.decode()) {
            Some(sent) => json::escape(sent).into(),
            None => name.raw().into(),
        }
    }

    /// What was sent and the client's own, for [`super::UpstreamRequest::renamed`].
    pub fn renamed(self) -> Vec<(String, String)> {
        let pair = |own: &str| Some((self.of(own)?.clone(), own.to_owned()));
        self.changed.names().filter_map(pair).collect()
    }

    fn of(&self, own: &str) -> Option<&String> {
        self.sent.get(self.changed.get(own)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { punctuation: "_-", any_first: true, longest: usize::MAX };

    #[test]
    fn ids_stay_different_and_earlier_ones_do_not_change() {
        let mut ids = Distinct::new(RULE);
        let assigned: Vec<_> = ["a", "b.c", "b_c", "b:c", "a", "a", "a_2", "é"].map(|id| ids.assign(id)).into();
        assert_eq!(assigned, ["a", "b_c", "b_c_2", "b_c_3", "a_2", "a_3", "a_2_2", "_"]);
    }

    #[test]
    fn they_are_short_enough_and_still_different() {
        let mut ids = Distinct::new(Rule { punctuation: "_.:-", longest: 5, ..RULE });
        let assigned = ["a.b:c", "abcdefg", "abcdexyz", "abcde", "abc_2"].map(|id| ids.assign(id));
        assert_eq!(assigned, ["a.b:c", "abcde", "abc_2", "abc_3", "abc_4"]);
        let mut names = Distinct::new(Rule { any_first: false, longest: 3, ..RULE });
        assert_eq!(["1ab", "-", "ab"].map(|name| names.assign(name)), ["_1a", "_-", "ab"]);
    }

    #[test]
    fn tools_keep_their_own_names_and_none_takes_anothers() {
        let texts = [r#""a.b""#, r#""a_b""#, r#""a\u002fb""#, r#""a.b""#];
        let raw = texts.map(|text| json::parse_str(text).unwrap());
        let names = raw.map(|raw| Str::new(raw).unwrap());
        let map = ToolNames::new(RULE, names.into_iter());
        assert_eq!(names.map(|name| map.sent(name)), [r#""a_b_2""#, r#""a_b""#, r#""a_b_3""#, r#""a_b_2""#]);
        let pair = |sent: &str, own: &str| (sent.to_owned(), own.to_owned());
        assert_eq!(map.renamed(), [pair("a_b_2", "a.b"), pair("a_b_3", "a/b")]);
        let map = ToolNames::without(&["a_b"], RULE, names.into_iter());
        assert_eq!(names.map(|name| map.sent(name)), [r#""a_b_2""#, r#""a_b_3""#, r#""a_b_4""#, r#""a_b_2""#]);
    }
}
