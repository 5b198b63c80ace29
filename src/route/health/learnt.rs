//! What is learnt of a target from its answers: how long the first token takes, how fast and how much it writes, and
//! by what an estimate of a prompt is wrong.

use std::time::Duration;

use super::LAYOUT;
use crate::clock::milliseconds;

/// What is learnt halves in weight in so long, so that yesterday's speed does not outvote today's.
const HALF_LIFE: f32 = 600_000.0;

/// And by so much with every answer: the latest twenty decide, so that who has become slow is known for it
/// after a few.
const KEEP: f32 = 0.95;

/// Milliseconds; nobody waits longer for a first token.
const LONGEST_FIRST_TOKEN: f32 = 3_600_000.0;

/// What is written in less time tells nothing of how fast.
const SHORTEST_WRITING: Duration = Duration::from_millis(10);

/// No estimate is trusted further than this factor either way.
const MOST_FACTOR: f32 = 4.0;

/// An estimate of so many tokens or more tells all that one can of the factor; a shorter one less, since what
/// providers add to every request weighs more in it.
const TELLING_INPUT: u64 = 500;

/// So many answers to a task weigh as much as all that is known of the model's others.
const TELLING_ANSWERS: f32 = 5.0;

/// About the latest twenty answers tell how long those to a task are.
const LATEST_ANSWERS: f32 = 20.0;

/// Decaying measurements of the answers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Learnt {
    /// When it was last changed.
    pub(super) at: u64,
    /// How many answers there were.
    pub(super) answers: f32,
    /// Weighted sums of a straight line: milliseconds to the first token over thousands of input tokens.
    pub(super) weight: f32,
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) xx: f32,
    pub(super) xy: f32,
    /// Output tokens a second, and a whole answer's output tokens.
    pub(super) rate: f32,
    pub(super) output: f32,
    /// Reported over estimated input tokens, and the share of the input that came from a cache.
    pub(super) factor: f32,
    pub(super) cached: f32,
    /// Of the task at hand. It is no part of the record: it has its own.
    pub(super) task: Lengths,
}

/// How long a model's answers to one task are, which may be far from how long its others are. A record of its
/// own for each model and task, because most requests name no task.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lengths {
    answers: f32,
    /// In tokens.
    output: f32,
}

/// One answer, as far as it can be learnt from.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub first_token: Duration,
    pub whole: Duration,
    pub estimated_input: u64,
    /// `None` where the provider does not count.
    pub input: Option<u64>,
    pub cached_input: u64,
    pub output: u64,
    pub streamed: bool,
}

impl Lengths {
    /// `output`: an answer's, in tokens.
    pub fn learn(&mut self, output: u64) {
        if output > 0 {
            self.answers = (self.answers + 1.0).min(LATEST_ANSWERS);
            self.output += (output as f32 - self.output) / self.answers;
        }
    }

    pub fn to_bytes(self) -> Vec<u8> {
        let numbers = [self.answers, self.output].map(f32::to_le_bytes);
        [&[LAYOUT], numbers.as_flattened()].concat()
    }

    /// What cannot be read is a task of which nothing is known.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let &[LAYOUT, a, b, c, d, e, f, g, h] = bytes else { return Lengths::default() };
        let [answers, output] = [[a, b, c, d], [e, f, g, h]].map(f32::from_le_bytes);
        let makes_sense = (1.0..=LATEST_ANSWERS).contains(&answers) && (1.0..1e9).contains(&output);
        if makes_sense { Lengths { answers, output } } else { Lengths::default() }
    }
}

impl Learnt {
    pub(super) fn add(&mut self, measured: &Measured, now: u64) {
        let keep = self.faded(now) * KEEP;
        self.at = now.max(self.at);
        self.answers = self.answers * keep + 1.0;
        // What a provider counts is believed as far as an estimate is trusted: one that miscounts would
        // seem to answer in no time.
        let estimate = measured.estimated_input as f32;
        let input = measured.input.map_or(estimate, |input| input as f32);
        // `clamp` would panic of bounds that are no numbers, with all their digits: fifteen kilobytes.
        let x = input.max(estimate / MOST_FACTOR).min(estimate * MOST_FACTOR) / 1_000.0;
        let y = (milliseconds(measured.first_token) as f32).min(LONGEST_FIRST_TOKEN);
        // Of a whole answer nobody knows when its first token was written.
        if measured.streamed {
            for (sum, value) in [
                (&mut self.weight, 1.0),
                (&mut self.x, x),
                (&mut self.y, y),
                (&mut self.xx, x * x),
                (&mut self.xy, x * y),
            ] {
                *sum = *sum * keep + value;
            }
        }
        let mix = |known: &mut f32, value: f32| *known = if *known == 0.0 { value } else { *known * 0.9 + value * 0.1 };
        // Of a whole answer the wait for its beginning is known only from streams.
        let waited = match self.first_token(measured.input.unwrap_or(measured.estimated_input)) {
            _ if measured.streamed => measured.first_token,
            Some(known) => Duration::from_millis(known as u64).min(measured.whole / 2),
            None => Duration::ZERO,
        };
        let writing = measured.whole.saturating_sub(waited);
        if measured.output > 0 {
            mix(&mut self.output, measured.output as f32);
            if writing >= SHORTEST_WRITING {
                mix(&mut self.rate, measured.output as f32 / writing.as_secs_f32());
            }
        }
        if let (Some(input), estimate @ 20..) = (measured.input, measured.estimated_input) {
            let factor = (input as f32 / estimate as f32).clamp(1.0 / MOST_FACTOR, MOST_FACTOR);
            let says = 0.2 * estimate.min(TELLING_INPUT) as f32 / TELLING_INPUT as f32;
            let known = if self.factor > 0.0 { self.factor } else { 1.0 };
            self.factor = known + (factor - known) * says;
            // A share of nothing is known, too.
            mix(&mut self.cached, (measured.cached_input as f32 / input.max(1) as f32).max(f32::EPSILON));
        }
    }

    /// What is left by now of the weight of what was learnt.
    fn faded(&self, now: u64) -> f32 {
        0.5_f32.powf(now.saturating_sub(self.at) as f32 / HALF_LIFE)
    }

    /// How many answers stand behind it, the older the less.
    pub fn samples(&self, now: Duration) -> f64 {
        f64::from(self.answers * self.faded(milliseconds(now)))
    }

    /// Milliseconds to the first token of a request of so many input tokens; `None` if nothing is known.
    pub fn first_token(&self, input: u64) -> Option<f64> {
        if self.weight < 0.5 {
            return None;
        }
        let (mean_x, mean_y) = (self.x / self.weight, self.y / self.weight);
        let variance = self.xx / self.weight - mean_x * mean_x;
        // Too little spread tells nothing of a slope; more input never makes an answer faster.
        let slope = if variance > 0.01 { (self.xy / self.weight - mean_x * mean_y) / variance } else { 0.0 };
        let at = mean_y + slope.max(0.0) * (input as f32 / 1_000.0 - mean_x);
        // A line that was drawn over long prompts says little of the shortest.
        Some(f64::from(at.max(mean_y / 10.0).clamp(1.0, LONGEST_FIRST_TOKEN)))
    }

    /// Output tokens a second.
    pub fn rate(&self) -> Option<f64> {
        (self.rate > 0.0).then_some(f64::from(self.rate).max(0.01))
    }

    /// How long its answers are, in tokens: those to the task at hand, as far as there were enough to tell.
    pub fn output(&self) -> Option<f64> {
        let Lengths { answers, output } = self.task;
        let usual = if self.output > 0.0 { self.output } else { output };
        let mixed = (output * answers + usual * TELLING_ANSWERS) / (answers + TELLING_ANSWERS);
        (mixed > 0.0).then_some(f64::from(mixed).min(1e9))
    }

    /// By what an estimate of input tokens is to be multiplied.
    pub fn factor(&self) -> f64 {
        let most = f64::from(MOST_FACTOR);
        if self.factor > 0.0 { f64::from(self.factor).clamp(1.0 / most, most) } else { 1.0 }
    }

    /// The share of the input that comes from the provider's cache.
    pub fn cached(&self) -> f64 {
        f64::from(self.cached).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Health;
    use super::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(1_000_000 + milliseconds)
    }

    #[test]
    fn the_first_token_is_learnt_as_a_line_over_the_input() {
        let mut health = Health::default();
        for n in 0..200_u64 {
            let input = 500 + n * 100;
            health.learn(
                &Measured {
                    first_token: Duration::from_millis(200 + input / 10),
                    whole: Duration::from_millis(200 + input / 10 + 1_000),
                    estimated_input: input / 2,
                    input: Some(input),
                    cached_input: input / 4,
                    output: 50,
                    streamed: true,
                },
                at(n * 10),
            );
        }
        let learnt = health.learnt();
        let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.05;
        assert!(near(learnt.first_token(10_000).unwrap(), 1_200.0), "{:?}", learnt.first_token(10_000));
        assert!(near(learnt.first_token(1_000).unwrap(), 300.0), "{:?}", learnt.first_token(1_000));
        assert!(near(learnt.rate().unwrap(), 50.0) && near(learnt.output().unwrap(), 50.0));
        assert!(near(learnt.factor(), 2.0) && near(learnt.cached(), 0.25));
    }

    #[test]
    fn how_long_answers_are_is_known_by_task_once_there_were_a_few() {
        let mut health = Health::default();
        let mut lengths = Lengths::default();
        lengths.learn(2_000);
        assert_eq!(health.for_task(lengths).learnt().output(), Some(2_000.0), "all that is known");
        for _ in 0..50 {
            let measured = Measured {
                first_token: Duration::from_millis(100),
                whole: Duration::from_secs(1),
                estimated_input: 100,
                input: Some(100),
                cached_input: 0,
                output: 100,
                streamed: true,
            };
            health.learn(&measured, at(0));
        }
        let usual = |lengths| health.for_task(lengths).learnt().output().unwrap();
        assert!((usual(Lengths::default()) - 100.0).abs() < 0.1);
        assert!((usual(lengths) - 416.7).abs() < 1.0, "one answer tells little");
        (0..9).for_each(|_| lengths.learn(2_000));
        assert!(usual(lengths) > 1_300.0, "{}", usual(lengths));
        (0..100).for_each(|_| lengths.learn(50));
        assert!(usual(lengths) < 75.0, "{}", usual(lengths));
        assert_eq!(Lengths::from_bytes(&lengths.to_bytes()), lengths);
        let bytes = lengths.to_bytes();
        for odd in [&bytes[..8], &[], &[0; 9], &[LAYOUT; 9], &[0xFF; 9], &[LAYOUT, 0, 0, 0x80, 0xFF, 0, 0, 0, 0]] {
            assert_eq!(Lengths::from_bytes(odd), Lengths::default());
        }
    }
}
