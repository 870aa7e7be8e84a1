//! What is to go wrong with which call: counted or seeded. Pure: no I/O, no clock.

use std::fmt;
use std::str::FromStr;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

/// A call to the API server, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub verb: &'static str,
    pub resource: String,
    pub name: String,
    pub subresource: String,
}

impl Call {
    /// From the method, path and query of a request for something in a namespace.
    pub fn of(method: &str, path: &str, query: &str) -> Self {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let below = parts.iter().position(|part| *part == "namespaces").map_or(parts.len(), |at| at + 2);
        let part = |index: usize| parts.get(below + index).copied().unwrap_or_default().to_owned();
        let is_watch = query.split('&').any(|pair| pair == "watch=true" || pair == "watch=1");
        let verb = match method {
            "GET" if is_watch => "watch",
            "GET" if part(1).is_empty() => "list",
            "GET" => "get",
            "POST" => "create",
            "DELETE" => "delete",
            _ => "patch",
        };
        Self { verb, resource: part(0), name: part(1), subresource: part(2) }
    }

    pub fn is_write(&self) -> bool {
        matches!(self.verb, "create" | "patch" | "delete")
    }
}

/// The one kind of fault of a run. The first three strike at a counted write of every stage, the others by chance in its first seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Calm,
    /// The operator ends before its write is carried out.
    EndBefore,
    /// It ends after that, without an answer.
    EndAfter,
    /// It lives and gets no answer, though the write was carried out.
    LoseAnswer,
    /// Reads say what was so before.
    Stale,
    /// Events of watches never come.
    Drops,
    /// Watches break, or say that they have expired.
    Cuts,
    /// 429, 500, 410, slow answers, broken connections.
    Errors,
    /// Nothing is answered at all.
    Away,
}

impl Weather {
    const ALL: [(Self, &str); 9] = [
        (Self::Calm, "calm"),
        (Self::EndBefore, "end-before"),
        (Self::EndAfter, "end-after"),
        (Self::LoseAnswer, "lose-answer"),
        (Self::Stale, "stale"),
        (Self::Drops, "drops"),
        (Self::Cuts, "cuts"),
        (Self::Errors, "errors"),
        (Self::Away, "away"),
    ];

    pub fn is_counted(self) -> bool {
        matches!(self, Self::EndBefore | Self::EndAfter | Self::LoseAnswer)
    }
}

/// A run of its own: the weather, and the number of the write that it strikes at, or the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    pub weather: Weather,
    pub number: u32,
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Weather::ALL.iter().find(|(weather, _)| *weather == self.weather).map_or("", |(_, name)| name);
        write!(formatter, "{name}:{}", self.number)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text}: not a case such as end-before:7");
        let (name, number) = text.split_once(':').ok_or_else(wrong)?;
        let (weather, _) = Weather::ALL.iter().find(|(_, known)| *known == name).ok_or_else(wrong)?;
        Ok(Self { weather: *weather, number: number.parse().map_err(|_| wrong())? })
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Forward,
    EndBefore,
    EndAfter,
    LoseAnswer,
    /// The connection breaks before anything is done.
    HangUp,
    /// It is carried out, and answered this many milliseconds later.
    Slow(u64),
    /// It is not carried out.
    Refuse(u16),
    /// An earlier answer to the same question, if there was one.
    Stale,
    /// A watch: it breaks after so many milliseconds, by a 410 or by the end of its connection.
    Cut {
        after: u64,
        expired: bool,
    },
}

/// The faults of one run.
#[derive(Debug)]
pub struct Rules {
    case: Case,
    chance: Chance,
    writes: u32,
    is_storm: bool,
    struck: u32,
}

impl Rules {
    pub fn new(case: Case) -> Self {
        let chance = Chance::new(u64::from(case.number));
        Self { case, chance, writes: 0, is_storm: false, struck: 0 }
    }

    /// A stage begins: the count of writes restarts.
    pub fn begin(&mut self) {
        self.writes = 0;
        self.is_storm = true;
    }

    pub fn end_storm(&mut self) {
        self.is_storm = false;
    }

    /// Writes since the stage began.
    pub fn writes(&self) -> u32 {
        self.writes
    }

    /// How often something went wrong.
    pub fn struck(&self) -> u32 {
        self.struck
    }

    pub fn judge(&mut self, call: &Call) -> Verdict {
        self.writes += u32::from(call.is_write());
        let verdict = if self.is_storm { self.strike(call) } else { Verdict::Forward };
        self.struck += u32::from(verdict != Verdict::Forward);
        verdict
    }

    fn strike(&mut self, call: &Call) -> Verdict {
        let hits = call.is_write() && self.writes == self.case.number;
        let chance = &mut self.chance;
        match self.case.weather {
            Weather::EndBefore if hits => Verdict::EndBefore,
            Weather::EndAfter if hits => Verdict::EndAfter,
            Weather::LoseAnswer if hits => Verdict::LoseAnswer,
            Weather::Stale if may_be_stale(call) && chance.of(2) => Verdict::Stale,
            Weather::Cuts if call.verb == "watch" && chance.of(2) => {
                Verdict::Cut { after: chance.below(1500), expired: chance.of(2) }
            }
            Weather::Away => Verdict::HangUp,
            Weather::Errors if chance.of(3) => match chance.below(if call.is_write() { 4 } else { 5 }) {
                0 => Verdict::Refuse(429),
                1 => Verdict::Refuse(500),
                2 => Verdict::Slow(chance.below(2000)),
                3 => Verdict::HangUp,
                _ => Verdict::Refuse(410),
            },
            _ => Verdict::Forward,
        }
    }

    /// Whether this event of a watch is left out. Those of ChatDeployments never are: at rest a watch is the only way to learn soon of a
    /// new spec, and that API servers deliver what they promise is what all controllers stand on.
    pub fn drops(&mut self, call: &Call, event: &[u8]) -> bool {
        if !self.is_storm || self.case.weather != Weather::Drops || call.resource == "chatdeployments" {
            return false;
        }
        let event: Value = serde_json::from_slice(event).unwrap_or_default();
        let drops = matches!(event["type"].as_str(), Some("ADDED" | "MODIFIED" | "DELETED")) && self.chance.of(4);
        self.struck += u32::from(drops);
        drops
    }
}

/// A read of the one ChatDeployment is never stale: API servers answer it from what etcd has agreed on, and it is what the operator asks
/// before it makes a child, lest a deleted owner gets any.
fn may_be_stale(call: &Call) -> bool {
    match call.verb {
        "list" => true,
        "get" => call.resource != "chatdeployments",
        _ => false,
    }
}

/// Numbers that look random and are the same for the same seed.
#[derive(Debug)]
pub struct Chance(StdRng);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0.random_range(0..limit)
    }

    /// One time out of so many.
    pub fn of(&mut self, times: u32) -> bool {
        self.0.random_ratio(1, times)
    }

    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        among.choose(&mut self.0).unwrap()
    }
}

#[test]
fn calls_are_told_apart_by_method_and_path() {
    let of = |method, path, query| {
        let call = Call::of(method, path, query);
        (call.verb, call.resource, call.name, call.subresource)
    };
    let told = |verb, resource: &str, name: &str, sub: &str| (verb, resource.into(), name.into(), sub.into());
    assert_eq!(of("GET", "/api/v1/namespaces/n/pods", "limit=1&watch=true"), told("watch", "pods", "", ""));
    assert_eq!(of("GET", "/api/v1/namespaces/n/pods", "limit=1"), told("list", "pods", "", ""));
    assert_eq!(of("DELETE", "/api/v1/namespaces/n/pods/a", ""), told("delete", "pods", "a", ""));
    assert_eq!(
        of("PATCH", "/apis/apps/v1/namespaces/n/statefulsets/a/status", "x"),
        told("patch", "statefulsets", "a", "status")
    );
    assert_eq!(of("POST", "/api/v1/namespaces/n/events", ""), told("create", "events", "", ""));
}

#[test]
fn a_counted_fault_strikes_once_a_stage() {
    let mut rules = Rules::new("end-before:2".parse().unwrap());
    let write = Call::of("PATCH", "/api/v1/namespaces/n/services/a", "");
    let read = Call::of("GET", "/api/v1/namespaces/n/services/a", "");
    for _ in 0..2 {
        rules.begin();
        let verdicts: Vec<Verdict> = [&write, &read, &write, &write].map(|call| rules.judge(call)).into();
        assert_eq!(verdicts, [Verdict::Forward, Verdict::Forward, Verdict::EndBefore, Verdict::Forward]);
    }
    assert_eq!(rules.struck(), 2);
}

#[test]
fn an_old_answer_is_never_given_to_whether_the_owner_is_still_there() {
    let mut rules = Rules::new("stale:1".parse().unwrap());
    rules.begin();
    let mut is_ever_stale = |path| {
        let call = Call::of("GET", path, "");
        (0..100).any(|_| rules.judge(&call) == Verdict::Stale)
    };
    assert!(!is_ever_stale("/apis/chatd.dev/v1beta1/namespaces/n/chatdeployments/chat"));
    assert!(is_ever_stale("/apis/chatd.dev/v1beta1/namespaces/n/chatdeployments"));
    assert!(is_ever_stale("/api/v1/namespaces/n/services/a"));
}
