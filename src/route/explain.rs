//! Why a request goes where it goes, for whoever asks: as JSON, and as the line of a header.

use std::sync::Arc;

use super::policy::{Considered, PARTS};
use crate::config::registry::{Capabilities, Capability};
use crate::json::{self, Writer};
use crate::provider::Target;
use crate::route::health::Verdict;

/// What a header may hold of it.
const MAX_SUMMARY: usize = 2 << 10;

/// A decision with its reasons.
#[derive(Debug)]
pub struct Explanation {
    pub route: Arc<str>,
    pub version: Arc<str>,
    pub needs: Capabilities,
    pub input_estimate: u64,
    pub targets: Vec<Explained>,
}

#[derive(Debug)]
pub struct Explained {
    pub target: Arc<Target>,
    pub considered: Considered,
    /// Parameters that it would not be given.
    pub dropped: Vec<String>,
}

impl Explanation {
    pub fn to_json(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(1024);
        w.begin_object().key("route").string(&self.route).key("version").string(&self.version);
        w.key("needs").begin_array();
        for need in self.needs.iter() {
            w.string(need.name());
        }
        w.end_array().key("input_tokens").number(self.input_estimate).key("targets").begin_array();
        for explained in &self.targets {
            explained.write(&mut w);
        }
        w.end_array().end_object();
        w.into_bytes()
    }

    /// One line in ASCII, the targets in the order of attempts, then those that were left out.
    pub fn summary(&self) -> String {
        let at = |place| self.targets.iter().find(|explained| explained.considered.place == Some(place));
        let others = self.targets.iter().filter(|explained| explained.considered.place.is_none());
        let mut out = format!("version={}", self.version);
        for explained in (1..).map_while(at).chain(others) {
            let it = &explained.considered;
            out.push_str(&format!("; {}=", explained.target.model));
            match (&it.left_out, it.place) {
                (Some(reason), _) => out.push_str(&reason.to_string()),
                (None, Some(place)) => {
                    out.push_str(&format!("attempt {place}"));
                    it.score.into_iter().for_each(|score| out.push_str(&format!(" score {}", json::decimal(score, 3))));
                    it.cost.into_iter().for_each(|cost| out.push_str(&format!(" cost {cost}")));
                    it.first_token
                        .into_iter()
                        .for_each(|time| out.push_str(&format!(" first_token {}ms", json::decimal(time, 0))));
                    out.push_str(&verdict(it.verdict).map_or_else(String::new, |why| format!(" ({why})")));
                }
                (None, None) => out.push_str("not needed"),
            }
        }
        // A header's value; what is beyond ASCII is only in messages of providers' rules.
        out.retain(|char| char.is_ascii() && !char.is_ascii_control());
        out.truncate(MAX_SUMMARY);
        out
    }
}

impl Explained {
    fn write(&self, w: &mut Writer) {
        let it = &self.considered;
        w.begin_object().key("model").string(&self.target.model).key("provider").string(&self.target.provider);
        match it.place {
            Some(place) => w.key("attempt").number(place as u64),
            None => w.key("attempt").null(),
        };
        if let Some(reason) = &it.left_out {
            w.key("left_out").string(&reason.to_string());
        }
        if !it.lacks.is_empty() {
            w.key("lacks").begin_array();
            for need in it.lacks.iter() {
                w.string(Capability::name(need));
            }
            w.end_array();
        }
        if let Some(cost) = it.cost {
            w.key("cost_micro_usd").number(cost);
        }
        for (name, value) in [("first_token_ms", it.first_token), ("whole_ms", it.whole)] {
            if let Some(value) = value {
                w.key(name).number(value.round() as u64);
            }
        }
        if let Some(quality) = it.quality {
            w.key("quality").raw(&json::decimal(f64::from(quality) / 1_000.0, 3));
        }
        if let Some(score) = it.score {
            w.key("score").raw(&json::decimal(score, 4)).key("score_parts").begin_object();
            for (name, part) in PARTS.iter().zip(it.parts) {
                w.key(name).raw(&json::decimal(part, 4));
            }
            w.end_object();
        }
        w.key("health").string(verdict(it.verdict).as_deref().unwrap_or("well"));
        if !self.dropped.is_empty() {
            w.key("dropped").begin_array();
            for name in &self.dropped {
                w.string(name);
            }
            w.end_array();
        }
        w.end_object();
    }
}

fn verdict(verdict: Verdict) -> Option<String> {
    match verdict {
        Verdict::Well => None,
        Verdict::Probe => Some("half open".to_owned()),
        Verdict::Open(until) => Some(format!("open until {until}")),
        Verdict::Exhausted(until) => Some(format!("exhausted until {until}")),
    }
}
