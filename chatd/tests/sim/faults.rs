//! The seeded plan of what goes wrong, and when. No I/O.

use chatd::directory::NoAnswer;

use crate::links::{MS, Micros, SECOND};
use crate::rng::Rng;
use crate::store::Trouble;

/// One end of a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// The pod that has this name now.
    Name(usize),
    Store,
    Client(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// `vanish`: the machine with it. Comes back under its name when the fault ends, `elsewhere` or at the same address.
    Crash {
        name: usize,
        vanish: bool,
        back: bool,
        elsewhere: bool,
    },
    Freeze {
        name: usize,
    },
    /// A newer process takes the name while the old one lives.
    Twin {
        name: usize,
    },
    Cut {
        from: Party,
        to: Party,
        both: bool,
    },
    Trouble(Trouble),
    Empty {
        reset: bool,
    },
    RollBack {
        by: Micros,
        reset: bool,
    },
    ResetStore,
    Clock {
        name: usize,
        by: i64,
    },
    /// SIGTERM; a new process takes the name once it has ended.
    Terminate {
        name: usize,
    },
    Drop {
        client: usize,
    },
    /// The client is gone and nobody hears of it.
    Vanish {
        client: usize,
    },
    StopReading {
        client: usize,
    },
    /// A second connection resumes the client's seat.
    Thief {
        client: usize,
    },
    /// One thread of a pod stands still.
    Stall {
        name: usize,
    },
    /// Its address refuses connections, by a policy: links that are up go on.
    Refuse {
        name: usize,
    },
    /// Its links to others are reset.
    ResetLinks {
        name: usize,
    },
    /// The store closes its connection.
    ForgetConnection {
        name: usize,
    },
    /// The server API is called at the pod `by` for the pod `name`, which then hands its rooms over.
    HandOver {
        name: usize,
        by: usize,
    },
    /// HTTP asks a pod for a room.
    Query {
        name: usize,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub begins: Micros,
    pub lasts: Micros,
    pub what: What,
}

/// How a run is made up.
#[derive(Debug, Clone)]
pub struct Plan {
    pub names: usize,
    pub clients: usize,
    pub faults: Vec<Fault>,
    pub ends: Micros,
}

impl Plan {
    /// `pods`: as many as this in place of a few, with a client for each two of them, and a fault for each three.
    pub fn new(seed: u64, pods: Option<usize>) -> Self {
        let mut rng = Rng::new(seed, "plan");
        let names = rng.pick(&[1, 2, 3, 3, 3, 4]);
        let clients = rng.range(3, 9) as usize;
        let (names, clients) = pods.map_or((names, clients), |pods| (pods, pods / 2));
        let window = rng.pick(&[8, 20, 35]) * SECOND;
        let mut plan = Self { names, clients, faults: Vec::new(), ends: 3 * SECOND + window };
        // Alone, a few of one kind, or all together.
        match rng.below(10) {
            _ if pods.is_some() => {
                let kinds: Vec<usize> = (0..KINDS).filter(|kind| !OF_THE_STORE.contains(kind)).collect();
                for _ in 0..names / 3 {
                    let kind = rng.pick(&kinds);
                    plan.add(&mut rng, kind, window);
                }
                plan.add(&mut rng, OF_THE_STORE[seed as usize % OF_THE_STORE.len()], window);
            }
            0 => {}
            1..4 => {
                let kind = rng.below(KINDS);
                (0..rng.range(1, 3)).for_each(|_| plan.add(&mut rng, kind, window));
            }
            _ => {
                for _ in 0..rng.range(2, 9) {
                    let kind = rng.below(KINDS);
                    plan.add(&mut rng, kind, window);
                }
            }
        }
        // Drawn apart, so that they alter nothing of what else a run draws. Short ones are mail that comes late.
        let mut stalls = Rng::new(seed, "stalls");
        for _ in 0..stalls.pick(&[0, 0, 0, 1, 6]) {
            let (at, name) = (3 * SECOND + stalls.range(0, window), stalls.below(names));
            plan.push(at, stalls.pick(&[2, 20, 300, 2_500, 6_000]) * MS, What::Stall { name });
        }
        plan.add_signs(&mut Rng::new(seed, "signs"), window);
        plan.add_hand_overs(&mut Rng::new(seed, "hand-overs"), window);
        plan.faults.sort_by_key(|fault| fault.begins);
        plan
    }

    /// Of one pod or two, again and again, or of all at once.
    fn add_hand_overs(&mut self, rng: &mut Rng, window: Micros) {
        for _ in 0..rng.pick(&[0, 0, 0, 0, 1, 2]) {
            let (at, name) = (3 * SECOND + rng.range(0, window), rng.below(self.names));
            let is_all = rng.chance(25);
            for name in if is_all { 0..self.names } else { name..name + 1 } {
                let by = rng.below(self.names);
                self.push(at + rng.range(0, 300) * MS, 0, What::HandOver { name, by });
            }
        }
    }

    /// Signs of a death, without one: alone, in pairs, or all; of a process that goes on, stands still, or is cut off from the store.
    fn add_signs(&mut self, rng: &mut Rng, window: Micros) {
        if !rng.chance(30) {
            return;
        }
        let (at, name) = (4 * SECOND + rng.range(0, window), rng.below(self.names));
        let lasts = rng.range(3, 8) * SECOND;
        let signs = rng.range(1, 8);
        match rng.below(4) {
            0 | 1 => self.push(at, lasts + SECOND, What::Freeze { name }),
            2 => {
                self.push(at, lasts + SECOND, What::Cut { from: Party::Name(name), to: Party::Store, both: true });
            }
            _ => {}
        }
        // Over and over: who lives connects again at once.
        for number in 0..if signs & 1 != 0 { 8 } else { 0 } {
            self.push(at + (50 + 60 * number) * MS, 0, What::ForgetConnection { name });
        }
        if signs & 2 != 0 {
            self.push(at - 100 * MS, lasts, What::Refuse { name });
        }
        if signs & 4 != 0 {
            self.push(at + rng.range(0, 200) * MS, 0, What::ResetLinks { name });
        }
    }

    fn push(&mut self, begins: Micros, lasts: Micros, what: What) {
        self.ends = self.ends.max(begins + lasts);
        self.faults.push(Fault { begins, lasts, what });
    }

    fn add(&mut self, rng: &mut Rng, kind: usize, window: Micros) {
        let at = 3 * SECOND + rng.range(0, window);
        let name = rng.below(self.names);
        let other = (name + 1 + rng.below(self.names.saturating_sub(1).max(1))) % self.names;
        let client = rng.below(self.clients);
        let long = rng.range(SECOND / 5, 20 * SECOND);
        match kind {
            0 | 1 => {
                let what =
                    What::Crash { name, vanish: rng.chance(40), back: rng.chance(60), elsewhere: rng.chance(50) };
                self.push(at, rng.pick(&[300 * MS, 3 * SECOND, 14 * SECOND]), what);
            }
            2 | 3 => self.push(at, rng.range(1, 30) * SECOND, What::Freeze { name }),
            4 => self.push(at, 0, What::Twin { name }),
            5 => {
                // A newer process while the old one is frozen or cut off.
                if rng.chance(50) {
                    self.push(at, long, What::Freeze { name });
                } else {
                    self.push(at, long, What::Cut { from: Party::Name(name), to: Party::Store, both: true });
                }
                self.push(at + rng.range(0, long), 0, What::Twin { name });
            }
            6 | 7 => {
                let parties = [Party::Name(name), Party::Name(other), Party::Store, Party::Client(client)];
                let from = rng.pick(&parties[..3]);
                let to = rng.pick(&parties);
                if from != to {
                    self.push(at, long, What::Cut { from, to, both: rng.chance(60) });
                }
            }
            8 => {
                // An owner that can reach neither the directory nor its peers.
                let lasts = rng.range(10, 25) * SECOND;
                self.push(at, lasts, What::Cut { from: Party::Name(name), to: Party::Store, both: rng.chance(70) });
                for peer in (0..self.names).filter(|peer| *peer != name) {
                    let shift = rng.range(0, 2 * SECOND);
                    let what = What::Cut { from: Party::Name(name), to: Party::Name(peer), both: rng.chance(70) };
                    self.push(at + shift, lasts, what);
                }
            }
            9 | 10 => {
                let trouble = match rng.below(7) {
                    0 => Trouble::Slow(rng.pick(&[200, 1_500, 4_000])),
                    1 => Trouble::Silent,
                    2 => Trouble::Stuck,
                    3 => Trouble::Refusing(rng.pick(&[NoAnswer::ReadOnly, NoAnswer::Full])),
                    4 => Trouble::Down,
                    5 => Trouble::LosesAnswers(rng.pick(&[20, 60, 100])),
                    _ => Trouble::LosesRequests(rng.pick(&[20, 60])),
                };
                self.push(at, long, What::Trouble(trouble));
            }
            11 => self.push(at, 0, What::Empty { reset: rng.chance(50) }),
            12 => {
                let by = rng.range(10, 5_000) * MS;
                self.push(at, 0, What::RollBack { by, reset: rng.chance(50) });
            }
            13 => self.push(at, 0, What::ResetStore),
            14 => self.push(at, 0, What::Clock { name, by: rng.pick(&[-3_600_000, 3_600_000]) }),
            15 | 16 => self.push(at, rng.range(1, 6) * SECOND, What::Terminate { name }),
            17 => {
                // The target dies in some step of a move.
                self.push(at, 3 * SECOND, What::Terminate { name });
                let what = What::Crash { name: other, vanish: rng.chance(50), back: rng.chance(50), elsewhere: false };
                self.push(at + rng.pick(&[5 * MS, 50 * MS, SECOND]) * rng.range(0, 4), 5 * SECOND, what);
            }
            18 => {
                // A move while the directory is in trouble.
                self.push(at, 3 * SECOND, What::Terminate { name });
                let trouble =
                    rng.pick(&[Trouble::LosesAnswers(50), Trouble::Slow(2_500), Trouble::Silent, Trouble::Stuck]);
                self.push(at.saturating_sub(rng.range(0, SECOND)), rng.range(1, 4) * SECOND, What::Trouble(trouble));
            }
            19 => {
                // A move that is cut off.
                self.push(at, 3 * SECOND, What::Terminate { name });
                let to = if rng.chance(50) { Party::Name(other) } else { Party::Store };
                let what = What::Cut { from: Party::Name(name), to, both: rng.chance(50) };
                self.push(at + rng.range(0, 100) * MS, rng.range(1, 8) * SECOND, what);
            }
            20 => self.push(at, 0, What::Drop { client }),
            21 => self.push(at, 0, What::Vanish { client }),
            22 => self.push(at, rng.range(1, 15) * SECOND, What::StopReading { client }),
            23 => (0..rng.range(1, 3)).for_each(|number| self.push(at + number, 0, What::Thief { client })),
            24 => self.push(at, 0, What::Query { name }),
            25 => {
                // Writes that are under way when their pods die.
                self.push(at, 8 * SECOND, What::Trouble(Trouble::Slow(1_500)));
                for _ in 0..2 {
                    let name = rng.below(self.names);
                    let what = What::Crash { name, vanish: false, back: rng.chance(50), elsewhere: true };
                    self.push(at + rng.range(0, 8) * SECOND, 4 * SECOND, what);
                }
            }
            _ => {
                // A frozen owner, and takeovers at once.
                self.push(at, rng.range(11, 20) * SECOND, What::Freeze { name });
                if rng.chance(50) {
                    self.push(at + rng.range(0, 15) * SECOND, 4 * SECOND, What::Freeze { name: other });
                }
            }
        }
    }
}

const KINDS: usize = 27;
/// They trouble all pods: so many at a time, one after the other, that no room is taken over.
const OF_THE_STORE: [usize; 7] = [9, 10, 11, 12, 13, 18, 25];
